import { describe, expect, it } from 'vitest';
import type { ResourceRequirements } from './generated/types.ts';
import { podQosClass } from './pod-qos.ts';

const both = { cpu: '1', memory: '1Gi' };

describe('podQosClass', () => {
  it.each<[string, ResourceRequirements[]]>([
    ['BestEffort', [{}]],
    ['Guaranteed', [{ limits: both }]],
    ['Guaranteed', [{ limits: both, requests: both }]],
    ['Burstable', [{ limits: both }, {}]],
    ['Burstable', [{ limits: both, requests: { cpu: '500m' } }]],
    ['Burstable', [{ requests: { cpu: '1' } }]],
  ])('podQosClass is %s for %j', (expected, all) => {
    const containers = all.map((resources, i) => ({ name: `c${i}`, resources }));
    expect(podQosClass({ containers })).toBe(expected);
  });
});
