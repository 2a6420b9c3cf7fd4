import { describe, expect, test } from 'vitest';
import type { Node, Pod } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { placePod } from './place.ts';

function node(
  name: string,
  changes: { spec?: Node['spec']; labels?: Record<string, string>; ready?: string; pods?: string } = {},
): Stored<Node> {
  return {
    metadata: { name, uid: name, resourceVersion: '1', labels: { 'kubernetes.io/hostname': name, ...changes.labels } },
    spec: changes.spec ?? {},
    status: {
      conditions: [{ type: 'Ready', status: changes.ready ?? 'True' }],
      ...(changes.pods === undefined ? {} : { allocatable: { pods: changes.pods } }),
    },
  };
}
function pod(spec: Partial<Pod['spec']> = {}, name = 'p'): Stored<Pod> {
  return {
    metadata: { name, namespace: 'default', uid: name, resourceVersion: '1' },
    spec: { containers: [], ...spec },
  };
}
const on = (name: string) => pod({ nodeName: name });
const place = (p: Stored<Pod>, nodes: Stored<Node>[], there: Stored<Pod>[] = [], siblings: Stored<Pod>[] = []) =>
  placePod({ pod: p, nodes, podsOn: (name) => there.filter(({ spec }) => spec?.nodeName === name), siblings });
const affinity = (...nodeSelectorTerms: object[]) => ({
  nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } },
});

describe('placePod', () => {
  test('placePod goes where its siblings are fewest, then where Pods are fewest, then by name', () => {
    const nodes = [node('c'), node('b'), node('a')];
    expect(place(pod(), nodes)).toEqual({ node: 'a' });
    expect(place(pod(), nodes, [on('a'), on('b')])).toEqual({ node: 'c' });
    expect(place(pod(), nodes, [on('c'), on('c'), on('c')], [on('a'), on('b')])).toEqual({ node: 'c' });
  });

  test.each<[string, Stored<Node>, Partial<Pod['spec']>]>([
    ['that is not ready', node('n', { ready: 'Unknown' }), {}],
    ['that is cordoned', node('n', { spec: { unschedulable: true } }), {}],
    [
      'with a taint',
      node('n', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] } }),
      { tolerations: [{ key: 'k', operator: 'Equal', value: 'other' }] },
    ],
    ['with a taint that evicts', node('n', { spec: { taints: [{ key: 'k', effect: 'NoExecute' }] } }), {}],
    ['without a selected label', node('n'), { nodeSelector: { disk: 'ssd' } }],
    [
      'outside of its affinity',
      node('n', { labels: { size: '3' } }),
      { affinity: affinity({ matchExpressions: [{ key: 'size', operator: 'Gt', values: ['5'] }] }) },
    ],
    ['whose affinity has an empty term', node('n'), { affinity: affinity({}) }],
    ['that is full', node('n', { pods: '1' }), {}],
    ['whose port is taken', node('n'), { containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort: 8080 }] }] }],
  ])('placePod does not go to a node %s, but to another', (_what, unfit, spec) => {
    const taken = pod(
      { nodeName: 'n', hostNetwork: true, containers: [{ name: 'c', ports: [{ containerPort: 8080 }] }] },
      'other',
    );
    const result = place(pod(spec), [unfit], [taken]);
    expect(result).toHaveProperty('unschedulable');
    if (spec?.affinity === undefined && spec?.nodeSelector === undefined)
      expect(place(pod(spec), [unfit, node('z')], [taken])).toEqual({ node: 'z' });
  });

  test.each<[string, Stored<Node>, Partial<Pod['spec']>]>([
    [
      'whose taint it tolerates',
      node('n', { spec: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] } }),
      { tolerations: [{ key: 'k', value: 'v' }] },
    ],
    [
      'whose taints it tolerates all',
      node('n', { spec: { taints: [{ key: 'k', effect: 'NoExecute' }] } }),
      { tolerations: [{ operator: 'Exists' }] },
    ],
    ['that only would rather not', node('n', { spec: { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] } }), {}],
    [
      'of its affinity',
      node('n'),
      {
        affinity: affinity(
          { matchExpressions: [{ key: 'x', operator: 'Exists' }] },
          { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n'] }] },
        ),
      },
    ],
    [
      'that is not among those it avoids',
      node('n'),
      {
        affinity: affinity({
          matchExpressions: [
            { key: 'x', operator: 'NotIn', values: ['1'] },
            { key: 'y', operator: 'DoesNotExist' },
          ],
        }),
      },
    ],
    [
      'where another protocol has the port',
      node('n'),
      { containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort: 53, protocol: 'UDP' }] }] },
    ],
  ])('placePod goes to a node %s', (_what, fit, spec) => {
    const taken = pod(
      { nodeName: 'n', containers: [{ name: 'c', ports: [{ containerPort: 1, hostPort: 53 }] }] },
      'other',
    );
    expect(place(pod(spec), [fit], [taken])).toEqual({ node: 'n' });
  });

  test('placePod says why there is no node, each reason with its count', () => {
    const nodes = [
      node('a', { ready: 'False' }),
      node('b', { ready: 'False' }),
      node('c', { spec: { unschedulable: true } }),
    ];
    expect(place(pod(), nodes)).toEqual({
      unschedulable: '0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) were not ready.',
    });
    expect(place(pod(), [])).toEqual({ unschedulable: 'no nodes available to schedule pods' });
  });
});
