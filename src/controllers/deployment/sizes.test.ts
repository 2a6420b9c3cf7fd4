import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Deployment, ReplicaSet } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { sizeAnnotations } from './replica-sets.ts';
import { isResized, recreateSizes, resizedSizes, rollingBounds, rollingSizes, type Sizes } from './sizes.ts';

function replicaSet(
  uid: string,
  size: number,
  options: { available?: number; noted?: [number, number]; age?: number } = {},
): Stored<ReplicaSet> {
  return {
    metadata: {
      name: uid,
      uid,
      resourceVersion: '1',
      creationTimestamp: new Date(Date.UTC(2026, 0, 1) - (options.age ?? 0) * 1000).toISOString(),
      ...(options.noted === undefined ? {} : { annotations: sizeAnnotations(...options.noted) }),
    },
    spec: { replicas: size, selector: {} },
    status: { replicas: size, availableReplicas: options.available ?? size },
  };
}
function deployment(replicas: number, rollingUpdate: object = {}, type = 'RollingUpdate'): Deployment {
  return { spec: { replicas, selector: {}, template: {}, strategy: { type, rollingUpdate } } };
}
const plain = (sizes: Sizes | 'wait') => (sizes === 'wait' ? sizes : Object.fromEntries(sizes));

describe('rollingBounds', () => {
  test.each([
    [10, {}, 3, 2],
    [10, { maxSurge: 0, maxUnavailable: '30%' }, 0, 3],
    [1, {}, 1, 0],
    [3, { maxSurge: 0, maxUnavailable: 0 }, 0, 1],
    [3, { maxSurge: '0%', maxUnavailable: '10%' }, 0, 1],
    [2, { maxSurge: 1, maxUnavailable: 5 }, 1, 2],
  ])('rollingBounds of %i replicas with %o', (replicas, rollingUpdate, maxSurge, maxUnavailable) => {
    expect(rollingBounds(deployment(replicas, rollingUpdate))).toEqual({ desired: replicas, maxSurge, maxUnavailable });
  });
});

describe('rollingSizes', () => {
  const bounds = { desired: 4, maxSurge: 1, maxUnavailable: 1 };
  test('rollingSizes grows the new one as far as the surge allows, then shrinks the old', () => {
    expect(plain(rollingSizes(replicaSet('new', 0), [replicaSet('old', 4)], bounds))).toEqual({ new: 1 });
    expect(plain(rollingSizes(replicaSet('new', 1, { available: 0 }), [replicaSet('old', 4)], bounds))).toEqual({
      old: 3,
    });
    expect(plain(rollingSizes(replicaSet('new', 2, { available: 0 }), [replicaSet('old', 3)], bounds))).toEqual({
      old: 3,
    });
  });

  test('rollingSizes takes old Pods first that are not available', () => {
    const old = [replicaSet('good', 2, { age: 9 }), replicaSet('bad', 2, { available: 0 })];
    expect(plain(rollingSizes(replicaSet('new', 1, { available: 1 }), old, bounds))).toEqual({ good: 2, bad: 0 });
  });

  test('rollingSizes shrinks one that is too large', () => {
    expect(plain(rollingSizes(replicaSet('new', 9), [], bounds))).toEqual({ new: 4 });
  });

  test('rollingSizes stays within the bounds whatever becomes ready when, and ends when all does', () => {
    const setting = fc.record({
      desired: fc.integer({ min: 0, max: 12 }),
      maxSurge: fc.integer({ min: 0, max: 5 }),
      maxUnavailable: fc.integer({ min: 0, max: 5 }),
      old: fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 3 }),
    });
    fc.assert(
      fc.property(setting, fc.infiniteStream(fc.nat(3)), ({ maxSurge, maxUnavailable, old }, random) => {
        const desired = old.reduce((a, b) => a + b, 0);
        const bounds = rollingBounds(deployment(desired, { maxSurge, maxUnavailable }));
        const size = new Map<string, number>([['new', 0], ...old.map((n, i) => [`old${i}`, n] as const)]);
        let available = 0;
        const total = () => [...size.values()].reduce((a, b) => a + b, 0);
        for (let round = 0; round < 200; round++) {
          const current = replicaSet('new', size.get('new') ?? 0, { available });
          const olds = old.map((_, i) => replicaSet(`old${i}`, size.get(`old${i}`) ?? 0));
          for (const [uid, next] of rollingSizes(current, olds, bounds)) size.set(uid, next);
          const now = size.get('new') ?? 0;
          expect(total()).toBeLessThanOrEqual(desired + bounds.maxSurge);
          expect(total() - now + available).toBeGreaterThanOrEqual(desired - bounds.maxUnavailable);
          available = Math.min(now, available + (random.next().value ?? 0));
        }
        expect(plain(size)).toEqual({ new: desired, ...Object.fromEntries(old.map((_, i) => [`old${i}`, 0])) });
      }),
      { numRuns: 100 },
    );
  });
});

describe('recreateSizes', () => {
  test('recreateSizes goes down, waits for the last Pod, and comes up', () => {
    const running = { status: { phase: 'Running' } };
    const ended = { status: { phase: 'Succeeded' } };
    expect(plain(recreateSizes({ current: undefined, old: [replicaSet('old', 3)] }, 3, () => []))).toEqual({ old: 0 });
    expect(recreateSizes({ current: undefined, old: [replicaSet('old', 0)] }, 3, () => [running])).toBe('wait');
    expect(plain(recreateSizes({ current: undefined, old: [replicaSet('old', 0)] }, 3, () => [ended]))).toEqual({});
    expect(plain(recreateSizes({ current: replicaSet('new', 0), old: [replicaSet('old', 0)] }, 3, () => []))).toEqual({
      new: 3,
    });
  });
});

describe('resizedSizes', () => {
  test('resizedSizes gives all to the only active one', () => {
    const current = replicaSet('new', 3, { noted: [3, 4] });
    const generations = { current, old: [replicaSet('old', 0)] };
    expect(isResized([current], rollingBounds(deployment(3)))).toBe(false);
    expect(isResized([current], rollingBounds(deployment(5)))).toBe(true);
    expect(plain(resizedSizes(generations, deployment(5), rollingBounds(deployment(5))))).toEqual({ new: 5 });
  });

  test('resizedSizes keeps shares in the middle of a rollout', () => {
    const noted: [number, number] = [10, 13];
    const generations = { current: replicaSet('new', 5, { noted }), old: [replicaSet('old', 8, { noted, age: 9 })] };
    const up = deployment(20, { maxSurge: 3 });
    const sizes = resizedSizes(generations, up, rollingBounds(up));
    expect(plain(sizes)).toEqual({ old: 14, new: 9 });
    const down = deployment(5, { maxSurge: 3 });
    expect(plain(resizedSizes(generations, down, rollingBounds(down)))).toEqual({ old: 5, new: 3 });
    const none = deployment(0, { maxSurge: 3 });
    expect(plain(resizedSizes(generations, none, rollingBounds(none)))).toEqual({ old: 0, new: 0 });
  });

  test('resizedSizes empties the old ones when the new one has all it needs', () => {
    const current = replicaSet('new', 4, { noted: [4, 5] });
    const generations = { current, old: [replicaSet('old', 2, { noted: [6, 8] })] };
    expect(plain(resizedSizes(generations, deployment(4), rollingBounds(deployment(4))))).toEqual({ old: 0 });
  });
});
