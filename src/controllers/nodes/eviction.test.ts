import { describe, expect, test } from 'vitest';
import type { Node, Pod, Taint } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { formatTime } from '../time.ts';
import { planEviction } from './eviction.ts';
import { planNodeHealth } from './health.ts';

const now = Date.UTC(2026, 0, 1);
const unreachable = 'node.kubernetes.io/unreachable';

function node(ready: string, taints: Taint[] = []): Stored<Node> {
  return {
    metadata: { name: 'n', uid: 'n', resourceVersion: '1' },
    spec: { taints },
    status: {
      conditions: [
        { type: 'Ready', status: ready },
        { type: 'NetworkUnavailable', status: 'False' },
      ],
    },
  };
}
function pod(name: string, tolerations: NonNullable<Pod['spec']>['tolerations'] = [], ready = 'False'): Stored<Pod> {
  return {
    metadata: { name, namespace: 'default', uid: name, resourceVersion: '1' },
    spec: { containers: [], nodeName: 'n', tolerations },
    status: { conditions: [{ type: 'Ready', status: ready }] },
  };
}
const taint = (secondsAgo: number, key = unreachable): Taint => ({
  key,
  effect: 'NoExecute',
  timeAdded: formatTime(now - secondsAgo * 1000),
});

describe('planNodeHealth', () => {
  test('planNodeHealth leaves a node alone that is alive and ready', () => {
    expect(planNodeHealth({ node: node('True'), alive: true, now })).toEqual([]);
  });

  test('planNodeHealth makes what a silent node reported unknown, then taints it, each once', () => {
    const silent = (n: Stored<Node>) => planNodeHealth({ node: n, alive: false, now });
    expect(silent(node('True'))).toMatchObject([
      {
        place: { name: 'n', subresource: 'status' },
        patch: {
          body: {
            status: {
              conditions: [
                { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', lastTransitionTime: formatTime(now) },
                { type: 'NetworkUnavailable', status: 'False' },
              ],
            },
          },
        },
      },
    ]);
    const tainted = [{ key: unreachable, effect: 'NoSchedule', timeAdded: formatTime(now) }, taint(0)];
    expect(silent(node('Unknown'))).toMatchObject([
      { place: { name: 'n' }, patch: { body: { spec: { taints: tainted } } } },
    ]);
    expect(silent(node('Unknown', tainted))).toEqual([]);
  });

  test('planNodeHealth waits for a new node to speak, and gives it up when it never does', () => {
    const fresh = { metadata: node('').metadata };
    expect(planNodeHealth({ node: fresh, alive: true, now })).toEqual([]);
    expect(planNodeHealth({ node: fresh, alive: false, now })).toMatchObject([
      { patch: { body: { status: { conditions: [{ type: 'Ready', status: 'Unknown' }] } } } },
    ]);
  });

  test('planNodeHealth taints a node that says it is not ready, and removes only its own taints when it is', () => {
    const other = { key: 'mine', effect: 'NoSchedule' };
    const taints = (n: Stored<Node>) =>
      planNodeHealth({ node: n, alive: true, now }).map((w) => w.verb === 'patch' && w.patch.body);
    expect(taints(node('False', [other, taint(9)]))).toMatchObject([
      { spec: { taints: [other, { key: 'node.kubernetes.io/not-ready' }, { key: 'node.kubernetes.io/not-ready' }] } },
    ]);
    expect(taints(node('True', [other, taint(9)]))).toMatchObject([{ spec: { taints: [other] } }]);
  });
});

describe('planEviction', () => {
  const plan = (n: Stored<Node>, ...pods: Stored<Pod>[]) => planEviction({ node: n, pods, now });

  test('planEviction says at once that Pods on a node in trouble are not ready', () => {
    const { writes } = plan(node('Unknown', [taint(0)]), pod('a', [], 'True'), pod('b'));
    expect(writes).toMatchObject([
      {
        verb: 'update',
        subresource: 'status',
        object: { metadata: { name: 'a' }, status: { conditions: [{ type: 'Ready', status: 'False' }] } },
      },
    ]);
    expect(plan(node('True'), pod('a', [], 'True'))).toEqual({ writes: [], evicted: [], requeueAfterMs: undefined });
  });

  test('planEviction waits as long as each Pod tolerates: five minutes unless it says so', () => {
    const short = pod('short', [{ key: unreachable, operator: 'Exists', tolerationSeconds: 10 }]);
    const always = pod('always', [{ operator: 'Exists' }]);
    const silent = pod('silent');
    const at = (seconds: number) => {
      const { evicted, requeueAfterMs } = plan(node('Unknown', [taint(seconds)]), short, always, silent);
      return [evicted.map(({ metadata }) => metadata.name), requeueAfterMs];
    };
    expect(at(4)).toEqual([[], 6000]);
    expect(at(10)).toEqual([['short'], 290_000]);
    expect(at(300)).toEqual([['short', 'silent'], undefined]);
  });

  test('planEviction evicts at once for any other taint that is not tolerated', () => {
    const { writes, evicted } = plan(
      node('True', [taint(0, 'custom')]),
      pod('a', [{ key: 'other', operator: 'Exists' }]),
      pod('b', [{ key: 'custom', operator: 'Exists' }]),
    );
    expect(evicted.map(({ metadata }) => metadata.name)).toEqual(['a']);
    expect(writes).toEqual([
      { verb: 'delete', resource: 'pods', place: { namespace: 'default', name: 'a' }, uid: 'a' },
    ]);
  });

  test('planEviction leaves Pods alone that have ended or are on their way out', () => {
    const ended = { ...pod('a'), status: { phase: 'Succeeded' } };
    const leaving = pod('b');
    leaving.metadata.deletionTimestamp = 'now';
    expect(plan(node('Unknown', [taint(999)]), ended, leaving).evicted).toEqual([]);
  });
});
