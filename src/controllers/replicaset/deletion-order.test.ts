import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Pod } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { formatTime } from '../time.ts';
import { deletionOrder } from './deletion-order.ts';

const now = Date.UTC(2026, 0, 1);
interface Traits {
  readonly node?: string;
  readonly phase?: string;
  readonly readyFor?: number;
  readonly cost?: string;
  readonly restarts?: number;
  readonly age?: number;
}

function pod(
  name: string,
  { node = 'n1', phase = 'Running', readyFor = 1000, cost, restarts = 0, age = 5000 }: Traits = {},
): Stored<Pod> {
  const ready = {
    type: 'Ready',
    status: readyFor > 0 ? 'True' : 'False',
    lastTransitionTime: formatTime(now - readyFor * 1000),
  };
  return {
    metadata: {
      name,
      uid: name,
      resourceVersion: '1',
      creationTimestamp: formatTime(now - age * 1000),
      ...(cost === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } }),
    },
    spec: { containers: [], nodeName: node },
    status: {
      phase,
      conditions: [ready],
      containerStatuses: [{ name: 'c', image: '', imageID: '', ready: true, restartCount: restarts }],
    },
  };
}

const order = (pods: readonly Stored<Pod>[], related = pods) =>
  deletionOrder(pods, related, now).map(({ metadata }) => metadata.name);

describe('deletionOrder', () => {
  test.each<[string, Traits, Traits]>([
    ['no node before a node', { node: '' }, { phase: 'Pending' }],
    ['pending before running', { phase: 'Pending' }, { readyFor: 0 }],
    ['not ready before ready', { readyFor: 0, cost: '9' }, { cost: '1' }],
    ['cheap before dear', { cost: '-5' }, {}],
    ['ready for a shorter time first', { readyFor: 10 }, { readyFor: 10_000 }],
    ['more restarts first', { restarts: 3 }, { restarts: 1 }],
    ['younger first', { age: 2000 }, { age: 200_000 }],
  ])('deletionOrder takes %s', (_what, first, second) => {
    // Named against the order, so that the name does not decide.
    const pods = [pod('a', second), pod('z', first)];
    expect(order(pods)).toEqual(['z', 'a']);
    expect(order([...pods].reverse())).toEqual(['z', 'a']);
  });

  test('deletionOrder takes from nodes with more Pods that do the same work, those of other ReplicaSets counted', () => {
    const pods = [pod('a', { node: 'n1' }), pod('b', { node: 'n2' })];
    expect(order(pods, [...pods, pod('c', { node: 'n2' })])).toEqual(['b', 'a']);
  });

  test('deletionOrder does not tell apart ages of one magnitude, nor reads a cost that is no integer', () => {
    expect(order([pod('b', { readyFor: 1000 }), pod('a', { readyFor: 900 })])).toEqual(['a', 'b']);
    expect(order([pod('a', { cost: '+1' }), pod('b', { cost: '99999999999' }), pod('c', { cost: '1' })])).toEqual([
      'a',
      'b',
      'c',
    ]);
  });

  test('deletionOrder is the same for every order of the Pods', () => {
    const traits = fc.record({
      node: fc.constantFrom('', 'n1', 'n2'),
      phase: fc.constantFrom('Pending', 'Running'),
      readyFor: fc.constantFrom(0, 10, 1000),
      restarts: fc.nat(2),
      age: fc.constantFrom(10, 1000),
    });
    fc.assert(
      fc.property(fc.array(traits, { maxLength: 8 }), fc.infiniteStream(fc.nat()), (all, random) => {
        const pods = all.map((each, i) => pod(`p${i}`, each));
        const shuffled = pods
          .map((each) => ({ each, at: random.next().value ?? 0 }))
          .sort((a, b) => a.at - b.at)
          .map(({ each }) => each);
        expect(order(shuffled)).toEqual(order(pods));
      }),
    );
  });
});
