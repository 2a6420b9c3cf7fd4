import { describe, expect, it } from 'vitest';
import type { ResourceRequirements } from '../api/generated/types.ts';
import { qosClass } from './qos-class.ts';

const both = { cpu: '1', memory: '1Gi' };

describe('qosClass', () => {
  it.each<[string, ResourceRequirements[]]>([
    ['BestEffort', [{}]],
    ['Guaranteed', [{ limits: both }]],
    ['Guaranteed', [{ limits: both, requests: both }]],
    ['Burstable', [{ limits: both }, {}]],
    ['Burstable', [{ limits: both, requests: { cpu: '500m' } }]],
    ['Burstable', [{ requests: { cpu: '1' } }]],
  ])('qosClass is %s for %j', (expected, all) => {
    const containers = all.map((resources, i) => ({ name: `c${i}`, resources }));
    expect(qosClass({ spec: { containers } })).toBe(expected);
  });
});
