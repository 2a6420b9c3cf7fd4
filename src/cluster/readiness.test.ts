import { describe, expect, test } from 'vitest';
import type { Node } from '../api/generated/types.ts';
import type { ApiClient } from '../client/types.ts';
import { untilNodesReady } from './readiness.ts';

const since = '2026-03-01T10:00:00.400Z';
const ready = (name: string, lastHeartbeatTime = '2026-03-01T10:00:00Z'): Node => ({
  metadata: { name },
  status: { conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime }] },
});

/** An API whose nodes are these, one list after the other; the last one stays. Counts how often it was asked. */
function apiWith(...lists: readonly (readonly Node[])[]) {
  let asked = 0;
  const list = async () => ({ items: lists[Math.min(asked++, lists.length - 1)] });
  return { client: { list } as unknown as ApiClient, asked: () => asked };
}

describe('untilNodesReady', () => {
  test('waits for the last of the nodes, and for news of this start', async () => {
    const { client, asked } = apiWith(
      [],
      [ready('node-1')],
      [ready('node-1'), ready('node-2', '2026-03-01T09:00:00Z')],
      [ready('node-1'), ready('node-2')],
    );
    await untilNodesReady(client, { nodes: ['node-1', 'node-2'], since }, 60_000);
    expect(asked()).toBe(4);
  });

  test('waits no longer than it may', async () => {
    const { client, asked } = apiWith([ready('node-1')]);
    await untilNodesReady(client, { nodes: ['node-1', 'node-2'], since }, 0);
    expect(asked()).toBe(1);
  });
});
