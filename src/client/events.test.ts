import { describe, expect, test } from 'vitest';
import type { CoreEvent } from '../api/generated/types.ts';
import { createEventRecorder } from './events.ts';
import { type ApiClient, ApiError } from './types.ts';

/** What the API would hold: events by name, written by the calls a recorder makes. */
function storing() {
  const stored = new Map<string, CoreEvent>();
  let lost = false;
  const client = {
    create: async (_resource: string, event: CoreEvent) => {
      stored.set(event.metadata.name ?? '', event);
      return event;
    },
    patch: async (_resource: string, { name }: { name: string }, { body }: { body: object }) => {
      if (lost) throw new ApiError({ code: 404 });
      stored.set(name, { ...(stored.get(name) as CoreEvent), ...body });
    },
  } as unknown as ApiClient;
  return {
    client,
    stored,
    lose: () => {
      lost = true;
    },
  };
}

const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web', namespace: 'team', uid: 'u1', resourceVersion: '5' },
};
const event = { type: 'Normal' as const, reason: 'Started', message: 'Started it' };

describe('createEventRecorder', () => {
  test('createEventRecorder writes an event as Kubernetes components do', async () => {
    const { client, stored } = storing();
    const recorder = createEventRecorder(client, {
      component: 'kubelet',
      host: 'node-1',
      now: () => Date.UTC(2026, 0, 2, 3, 4, 5, 678),
    });
    recorder.record(pod, event);
    await recorder.flush();
    expect([...stored.values()]).toEqual([
      {
        apiVersion: 'v1',
        kind: 'Event',
        metadata: { namespace: 'team', name: expect.stringMatching(/^web\.[0-9a-f]{16}$/) },
        involvedObject: {
          apiVersion: 'v1',
          kind: 'Pod',
          namespace: 'team',
          name: 'web',
          uid: 'u1',
          resourceVersion: '5',
        },
        ...event,
        source: { component: 'kubelet', host: 'node-1' },
        reportingComponent: 'kubelet',
        reportingInstance: 'node-1',
        firstTimestamp: '2026-01-02T03:04:05Z',
        lastTimestamp: '2026-01-02T03:04:05Z',
        count: 1,
      },
    ]);
  });

  test('createEventRecorder counts a repeated event up, also when both are recorded at once', async () => {
    const { client, stored } = storing();
    let now = 0;
    const recorder = createEventRecorder(client, { component: 'c', now: () => now });
    recorder.record(pod, event);
    recorder.record(pod, event);
    now = 60_000;
    recorder.record(pod, event);
    await recorder.flush();
    expect([...stored.values()]).toMatchObject([
      { count: 3, firstTimestamp: '1970-01-01T00:00:00Z', lastTimestamp: '1970-01-01T00:01:00Z' },
    ]);
  });

  test('createEventRecorder writes anew when the event it counts up is gone', async () => {
    const { client, stored, lose } = storing();
    const recorder = createEventRecorder(client, { component: 'c' });
    recorder.record(pod, event);
    await recorder.flush();
    lose();
    recorder.record(pod, event);
    await recorder.flush();
    expect(stored.size).toBe(2);
  });

  test('createEventRecorder puts too many different messages of one reason into one event', async () => {
    const { client, stored } = storing();
    const recorder = createEventRecorder(client, { component: 'c', now: () => 0 });
    for (let i = 0; i < 14; i++) recorder.record(pod, { ...event, message: `try ${i}` });
    await recorder.flush();
    expect(stored.size).toBe(11);
    expect([...stored.values()].at(-1)).toMatchObject({
      message: '(combined from similar events): try 13',
      count: 4,
    });
  });

  test('createEventRecorder lets an object have 25 events at once and one more every five minutes', async () => {
    const { client, stored } = storing();
    let now = 0;
    const recorder = createEventRecorder(client, { component: 'c', now: () => now });
    const total = () => [...stored.values()].reduce((sum, e) => sum + (e.count ?? 0), 0);
    for (let i = 0; i < 100; i++) recorder.record(pod, event);
    await recorder.flush();
    expect(total()).toBe(25);
    now = 300_000;
    for (let i = 0; i < 10; i++) recorder.record(pod, event);
    await recorder.flush();
    expect(total()).toBe(26);
    recorder.record({ ...pod, metadata: { ...pod.metadata, uid: 'u2' } }, event);
    await recorder.flush();
    expect(total()).toBe(27);
  });

  test('createEventRecorder puts events about cluster-scoped objects into default, and survives failures', async () => {
    const { client, stored } = storing();
    const recorder = createEventRecorder(client, { component: 'c' });
    recorder.record({ kind: 'Node', metadata: { name: 'n' } }, event);
    await recorder.flush();
    expect([...stored.values()][0]?.metadata.namespace).toBe('default');
    const broken = createEventRecorder({ create: () => Promise.reject(new Error('down')) } as unknown as ApiClient, {
      component: 'c',
    });
    broken.record(pod, event);
    await broken.flush();
  });
});
