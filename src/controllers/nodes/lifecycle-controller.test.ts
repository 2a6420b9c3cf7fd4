import { describe, expect, it } from 'vitest';
import type { Node } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import type { Change } from '../../client/types.ts';
import type { ControllerContext, Round } from '../controller.ts';
import type { Write } from '../write.ts';
import { nodeLifecycleController } from './lifecycle-controller.ts';

const graceMs = 40_000;
const node: Stored<Node> = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'node-1', uid: 'u', resourceVersion: '1' },
  status: { conditions: [{ type: 'Ready', status: 'True' }] },
};

/** A controller that saw one node at time 0; `get` is what asking the API server is like, and may take time. */
function watching(get: (clock: { now: number }) => Promise<unknown>) {
  const clock = { now: 0 };
  const store = new Map([['node-1', node]]);
  const informer = (resource: string) => ({
    store,
    onChange: (listener: (change: Change<Stored<Node>>) => void) => {
      if (resource === 'nodes') listener({ key: 'node-1', previous: undefined, current: node });
    },
  });
  const context = {
    client: { get: () => get(clock) },
    caches: { informer, index: () => ({ get: () => [] }) },
    now: () => clock.now,
  } as unknown as ControllerContext;
  const controller = nodeLifecycleController(context, graceMs);
  controller.watch(() => {});
  /** What a look at that time writes, and when it wants to look again. */
  const look = async (at: number) => {
    clock.now = at;
    const writes: Write[] = [];
    let again: number | undefined;
    const round: Round = {
      now: at,
      apply: async (all) => void writes.push(...all),
      requeueAfter: (ms) => {
        again = ms;
      },
      record: () => {},
    };
    await controller.reconcile('node-1', round);
    return { gaveUp: writes.length > 0, again };
  };
  return { look };
}

describe('nodeLifecycleController', () => {
  it('gives up a node that was silent for the grace period while the API server answered', async () => {
    const { look } = watching(async () => node);
    expect(await look(graceMs - 1)).toEqual({ gaveUp: false, again: 1 });
    expect(await look(graceMs)).toEqual({ gaveUp: true, again: undefined });
  });

  it.each([
    [
      'answers only after 20 s',
      async (clock: { now: number }) => {
        clock.now += 20_000;
      },
    ],
    ['cannot be reached', () => Promise.reject(new Error('refused'))],
  ])('gives nodes their whole time again when the API server %s', async (_, get) => {
    let isAway = true;
    const { look } = watching((clock) => (isAway ? get(clock) : Promise.resolve(node)));
    expect(await look(graceMs)).toEqual({ gaveUp: false, again: graceMs });
    isAway = false;
    expect((await look(graceMs + 30_000)).gaveUp).toBe(false);
    expect((await look(graceMs + 20_000 + graceMs)).gaveUp).toBe(true);
  });
});
