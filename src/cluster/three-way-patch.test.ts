import { describe, expect, test } from 'vitest';
import { applyStrategicMergePatch } from '../apiserver/patch/strategic-merge-patch.ts';
import { threeWayPatch } from './three-way-patch.ts';

type Fields = { [field: string]: unknown };

/** What a live object becomes when a manifest that followed another is applied to it. */
function applied(type: string, { last, live, manifest }: { last: Fields; live: Fields; manifest: Fields }): Fields {
  return applyStrategicMergePatch(type, live, threeWayPatch(type, last, manifest));
}

describe('threeWayPatch', () => {
  test('changes and removes what the manifest said, and keeps what others set', () => {
    const last = { metadata: { labels: { a: '1', b: '2' } }, spec: { type: 'NodePort', selector: { app: 'x' } } };
    const live = {
      metadata: { labels: { a: '1', b: '2', theirs: 'y' }, uid: 'u' },
      spec: { type: 'NodePort', selector: { app: 'x' }, clusterIP: '10.96.0.7' },
    };
    const manifest = { metadata: { labels: { a: '3' } }, spec: { selector: { app: 'x' } } };
    expect(applied('Service', { last, live, manifest })).toEqual({
      metadata: { labels: { a: '3', theirs: 'y' }, uid: 'u' },
      spec: { selector: { app: 'x' }, clusterIP: '10.96.0.7' },
    });
  });

  test('keeps what the server added to an element of a list, and takes out elements that went', () => {
    const last = { spec: { ports: [{ port: 80 }, { port: 81 }] } };
    const live = {
      spec: {
        ports: [
          { port: 80, nodePort: 30001, protocol: 'TCP' },
          { port: 81, nodePort: 30002 },
        ],
      },
    };
    const manifest = { spec: { ports: [{ port: 80, name: 'web' }, { port: 82 }] } };
    const { spec } = applied('Service', { last, live, manifest }) as { spec: { ports: unknown[] } };
    expect(spec.ports).toEqual(
      expect.arrayContaining([{ port: 80, nodePort: 30001, protocol: 'TCP', name: 'web' }, { port: 82 }]),
    );
    expect(spec.ports).toHaveLength(2);
  });

  test('takes plain values out of a merged list', () => {
    const last = { metadata: { finalizers: ['mine', 'old'] } };
    const live = { metadata: { finalizers: ['mine', 'old', 'theirs'] } };
    const manifest = { metadata: { finalizers: ['mine'] } };
    expect(applied('Service', { last, live, manifest })).toEqual({ metadata: { finalizers: ['mine', 'theirs'] } });
  });
});
