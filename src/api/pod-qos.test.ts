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
    ['Guaranteed', [{ limits: both, requests: { cpu: '1000m', memory: '1024Mi' } }]],
    ['Guaranteed', [{ limits: { cpu: '0.1', memory: '1e3' }, requests: { cpu: '100m', memory: '1k' } }]],
    ['Guaranteed', [{ limits: { cpu: '0.3', memory: '129M' }, requests: { cpu: '300m', memory: '129000k' } }]],
    ['Burstable', [{ limits: both, requests: { cpu: '1', memory: '1G' } }]],
    ['BestEffort', [{ limits: { cpu: '0', memory: '0Mi' } }]],
  ])('podQosClass is %s for %j', (expected, all) => {
    const containers = all.map((resources, i) => ({ name: `c${i}`, resources }));
    expect(podQosClass({ containers })).toBe(expected);
  });
});
