import { describe, expect, test } from 'vitest';
import { PatchError } from './json-patch.ts';
import { applyStrategicMergePatch } from './strategic-merge-patch.ts';

const container = (name: string, more: object = {}) => ({ name, image: `${name}:1`, ...more });
const pod = (...containers: object[]) => ({ spec: { containers } });

describe('applyStrategicMergePatch', () => {
  test('merges lists by their key, and replaces lists that have none', () => {
    const document = pod(container('a', { args: ['1'], env: [{ name: 'X', value: '1' }] }), container('b'));
    const patch = pod(
      { name: 'a', image: 'a:2', args: ['2'], env: [{ name: 'Y', value: '2' }] },
      { name: 'c', image: 'c:1' },
    );
    expect(applyStrategicMergePatch('Pod', document, patch)).toEqual(
      pod(
        {
          name: 'a',
          image: 'a:2',
          args: ['2'],
          env: [
            { name: 'X', value: '1' },
            { name: 'Y', value: '2' },
          ],
        },
        container('b'),
        container('c'),
      ),
    );
  });

  test('null removes; a map merges', () => {
    const document = { metadata: { labels: { a: '1', b: '2' } }, spec: { clusterIP: 'x' } };
    const patch = { metadata: { labels: { a: null, c: '3' } }, spec: { clusterIP: null } };
    expect(applyStrategicMergePatch('Service', document, patch)).toEqual({
      metadata: { labels: { b: '2', c: '3' } },
      spec: {},
    });
  });

  test('$patch deletes an element, replaces a list, replaces an object', () => {
    const document = pod(container('a'), container('b'));
    expect(applyStrategicMergePatch('Pod', document, pod({ name: 'a', $patch: 'delete' }))).toEqual(
      pod(container('b')),
    );
    expect(applyStrategicMergePatch('Pod', document, pod({ $patch: 'replace' }, container('c')))).toEqual(
      pod(container('c')),
    );
    const replaced = applyStrategicMergePatch('Pod', document, { spec: { $patch: 'replace', hostname: 'h' } });
    expect(replaced).toEqual({ spec: { hostname: 'h' } });
  });

  test('$setElementOrder sorts what it names and leaves the others where they were', () => {
    const document = pod(container('a'), container('b'), container('sidecar'));
    const patch = {
      spec: {
        '$setElementOrder/containers': [{ name: 'new' }, { name: 'b' }, { name: 'a' }],
        containers: [container('new')],
      },
    };
    const names = (applyStrategicMergePatch('Pod', document, patch).spec as { containers: { name: string }[] })
      .containers;
    expect(names.map((c) => c.name)).toEqual(['new', 'b', 'a', 'sidecar']);
  });

  test('$deleteFromPrimitiveList and plain values', () => {
    const document = { metadata: { finalizers: ['a/1', 'b/2'] } };
    const patch = { metadata: { '$deleteFromPrimitiveList/finalizers': ['a/1'], finalizers: ['c/3', 'b/2'] } };
    expect(applyStrategicMergePatch('Pod', document, patch)).toEqual({ metadata: { finalizers: ['b/2', 'c/3'] } });
  });

  test('$retainKeys drops the other members of a union', () => {
    const document = { spec: { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1 } } } };
    const patch = { spec: { strategy: { $retainKeys: ['type'], type: 'Recreate' } } };
    expect(applyStrategicMergePatch('Deployment', document, patch)).toEqual({
      spec: { strategy: { type: 'Recreate' } },
    });
  });

  test('ports of a Service merge by their number', () => {
    const document = { spec: { ports: [{ port: 80, nodePort: 30001 }, { port: 81 }] } };
    const patch = { spec: { ports: [{ port: 80, targetPort: 8080 }] } };
    expect(applyStrategicMergePatch('Service', document, patch)).toEqual({
      spec: { ports: [{ port: 80, nodePort: 30001, targetPort: 8080 }, { port: 81 }] },
    });
  });

  test.each([
    [{ spec: { containers: [{ image: 'x' }] } }, 'does not contain declared merge key: name'],
    [{ spec: { $patch: 'explode' } }, 'unknown patch type'],
    [{ spec: { containers: ['x'] } }, 'is not an object'],
    ['x', 'must be an object'],
  ])('refuses %j', (patch, message) => {
    expect(() => applyStrategicMergePatch('Pod', pod(container('a')), patch)).toThrow(PatchError);
    expect(() => applyStrategicMergePatch('Pod', pod(container('a')), patch)).toThrow(message);
  });
});
