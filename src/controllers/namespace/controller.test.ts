import { describe, expect, test } from 'vitest';
import type { Namespace, ObjectMeta } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import type { ControllerContext, Round } from '../controller.ts';
import type { Write } from '../write.ts';
import { namespaceController } from './controller.ts';

const deletionTimestamp = '1970-01-01T00:00:00Z';
const held: Partial<ObjectMeta> = { deletionTimestamp, finalizers: ['a.b/c'] };
const told = (condition: object, seconds = '00') => ({
  ...condition,
  lastTransitionTime: `1970-01-01T00:00:${seconds}Z`,
});
const remains = {
  type: 'NamespaceContentRemaining',
  status: 'True',
  reason: 'SomeResourcesRemain',
  message: 'Some resources are remaining: configmaps. has 2 resource instances',
};
const waits = {
  type: 'NamespaceFinalizersRemaining',
  status: 'True',
  reason: 'SomeFinalizersRemain',
  message: 'Some content in the namespace has finalizers remaining: a.b/c in 1 resource instances',
};

/** A namespace that is being deleted, and what one look at its ConfigMaps does. */
function leaving() {
  const namespace: Stored<Namespace> = {
    metadata: { name: 'team', uid: 'u', resourceVersion: '1', deletionTimestamp },
    spec: { finalizers: ['kubernetes'] },
    status: { phase: 'Terminating' },
  };
  const store = new Map([['team', namespace]]);
  let content: Partial<ObjectMeta>[] = [];
  const list = async (resource: string) => ({
    items:
      resource === 'configMaps' ? content.map((metadata, i) => ({ metadata: { name: `c${i}`, ...metadata } })) : [],
  });
  const context = { client: { list }, caches: { informer: () => ({ store }) } } as unknown as ControllerContext;
  const controller = namespaceController(context);
  /** What a look writes, and in how many milliseconds the next one is wanted. */
  const look = async (now: number, has: Partial<ObjectMeta>[]) => {
    content = has;
    const writes: Write[] = [];
    let again: number | undefined;
    const round: Round = {
      now,
      apply: async (all) => {
        writes.push(...all);
        for (const write of all) if (write.verb === 'update') store.set('team', write.object as Stored<Namespace>);
      },
      requeueAfter: (ms) => {
        again = Math.min(ms, again ?? ms);
      },
      record: () => {},
    };
    await controller.reconcile('team', round);
    return { verbs: writes.map(({ verb }) => verb), again };
  };
  return { look, status: () => store.get('team')?.status, spec: () => store.get('team')?.spec };
}

describe('namespaceController', () => {
  test('deletes what is there and looks again at once; what stays it waits for', async () => {
    const { look } = leaving();
    expect(await look(0, [{}, {}])).toEqual({ verbs: ['delete', 'delete'], again: 0 });
    expect((await look(0, [held])).again).toBe(1_000);
    expect(await look(1_000, [held])).toEqual({ verbs: [], again: 1_000 });
  });

  test('says what holds it up, and when that is over', async () => {
    const { look, status, spec } = leaving();
    await look(0, [held, { deletionTimestamp }]);
    expect(status()).toEqual({ phase: 'Terminating', conditions: [told(remains), told(waits)] });
    const message = 'Some resources are remaining: configmaps. has 1 resource instances';
    await look(2_000, [held]);
    expect(status()?.conditions).toEqual([told({ ...remains, message }, '02'), told(waits)]);
    expect(await look(3_000, [])).toEqual({ verbs: ['update'], again: 0 });
    expect(status()?.conditions?.map(({ reason }) => reason)).toEqual(['ContentRemoved', 'ContentHasNoFinalizers']);
    expect(spec()?.finalizers).toEqual(['kubernetes']);
    await look(3_000, []);
    expect(spec()?.finalizers).toEqual([]);
  });

  test('of which nothing holds on tells nothing', async () => {
    const { look, status, spec } = leaving();
    await look(0, [{}]);
    await look(0, []);
    expect(status()).toEqual({ phase: 'Terminating' });
    expect(spec()?.finalizers).toEqual([]);
  });
});
