import { expect, test } from 'vitest';
import type { Pod, Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { triggerTimeAnnotation } from '../../api/well-known.ts';
import { TriggerTimes } from './trigger-times.ts';

const stored = { uid: 'u', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' };
const service: Stored<Service> = { metadata: { ...stored, name: 's' } };
const pod = (uid: string, time: string): Stored<Pod> => ({
  metadata: { ...stored, name: uid, uid },
  status: { conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: time }] },
});

test('TriggerTimes tells the earliest change since the last time, once', () => {
  const times = new TriggerTimes();
  const next = (...pods: Stored<Pod>[]) => times.next('default/s', service, pods)[triggerTimeAnnotation];
  expect(next()).toBe('2026-01-01T00:00:00Z');
  expect(next()).toBeUndefined();
  const a = pod('a', '2026-01-01T00:00:05Z');
  expect(next(a, pod('b', '2026-01-01T00:00:03Z'))).toBe('2026-01-01T00:00:03Z');
  expect(next(a, pod('b', '2026-01-01T00:00:03Z'))).toBeUndefined();
  expect(next(a, pod('b', '2026-01-01T00:00:09Z'))).toBe('2026-01-01T00:00:09Z');
  expect(next(a)).toBeUndefined();
  times.forget('default/s');
  expect(next(a)).toBe('2026-01-01T00:00:00Z');
});
