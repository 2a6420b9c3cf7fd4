import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ApiObject } from '../stored-object.ts';
import { FieldSet } from './field-set.ts';
import type { FieldWriter } from './managers.ts';
import { applyObject, conflictMessage, trackUpdate, type WriteContext } from './track.ts';

const context = (manager: string, operation: FieldWriter['operation'] = 'Apply'): WriteContext => ({
  schema: 'Service',
  writer: { manager, operation, apiVersion: 'v1', subresource: '' },
  now: '2026-01-02T03:04:05Z',
  hasStatus: true,
});

type Texts = { [key: string]: string };
type Parts = { labels?: Texts; annotations?: Texts; spec?: object };

const service = ({ labels, annotations, spec }: Parts): ApiObject => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 's', namespace: 'default', ...(labels && { labels }), ...(annotations && { annotations }) },
  ...(spec && { spec }),
});

function apply(manager: string, live: ApiObject | undefined, applied: ApiObject, force = false): ApiObject {
  const { object, conflicts } = applyObject(context(manager), { live, applied, force });
  if (conflicts !== undefined) throw new Error(conflictMessage(conflicts));
  return object;
}

const ownersOf = (object: ApiObject) =>
  Object.fromEntries((object.metadata.managedFields ?? []).map((entry) => [entry.manager, entry.fieldsV1]));

const keys = (prefix: string) =>
  fc.dictionary(
    fc.constantFrom('a', 'b', 'c', 'd').map((key) => prefix + key),
    fc.constantFrom('1', '2', '3'),
  );
const port = (from: number) =>
  fc.record(
    { port: fc.integer({ min: from, max: from + 5 }), protocol: fc.constantFrom('TCP', 'UDP'), targetPort: fc.nat(9) },
    { requiredKeys: ['port', 'protocol'] },
  );
const ports = (from: number) =>
  fc.uniqueArray(port(from), { selector: (p) => `${p.port}/${p.protocol}`, maxLength: 4 });
/** Configurations of two managers who have no field in common. */
const configuration = (prefix: string, from: number, field: string) =>
  fc
    .record({ labels: keys(prefix), ports: ports(from), value: fc.constantFrom('a', 'b') })
    .map(({ labels, ports, value }) => service({ labels, spec: { ports, [field]: value } }));
const mine = configuration('m', 1, 'externalName');
const yours = configuration('y', 100, 'sessionAffinity');

describe('applyObject', () => {
  test('applied twice does nothing the second time', () => {
    fc.assert(
      fc.property(mine, mine, yours, (first, second, other) => {
        const live = apply('m', apply('y', apply('m', undefined, first), other), second);
        expect(apply('m', live, second)).toEqual(live);
        expect(apply('y', live, other)).toEqual(live);
      }),
    );
  });

  test('managers of disjoint fields never conflict, and each has what it applied last', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(mine, yours), { maxLength: 6 }), mine, yours, (history, last, other) => {
        let live: ApiObject | undefined;
        for (const one of [...history, last, other]) {
          const isMine = (one.spec as { externalName?: string }).externalName !== undefined;
          live = apply(isMine ? 'm' : 'y', live, one);
        }
        expect(live).toMatchObject({ metadata: { labels: { ...last.metadata.labels, ...other.metadata.labels } } });
        expect(Object.keys(live?.metadata.labels ?? {})).toHaveLength(
          Object.keys({ ...last.metadata.labels, ...other.metadata.labels }).length,
        );
        const portsOf = (object: ApiObject | undefined) =>
          (object?.spec as { ports?: object[] } | undefined)?.ports ?? [];
        expect(portsOf(live)).toHaveLength(portsOf(last).length + portsOf(other).length);
        expect(portsOf(live)).toEqual(expect.arrayContaining([...portsOf(last), ...portsOf(other)]));
      }),
    );
  });

  test('says which fields of whom it would change; force takes them', () => {
    const live = apply(
      'a',
      undefined,
      service({ spec: { type: 'ClusterIP', ports: [{ port: 80, protocol: 'TCP', name: 'x' }] } }),
    );
    const other = service({ spec: { type: 'NodePort', ports: [{ port: 80, name: 'y' }] } });
    expect(() => apply('b', live, other)).toThrow(
      'Apply failed with 2 conflicts: conflicts with "a":\n- .spec.ports[port=80,protocol="TCP"].name\n- .spec.type',
    );
    expect(() => apply('b', live, service({ spec: { type: 'NodePort' } }))).toThrow(
      'Apply failed with 1 conflict: conflict with "a": .spec.type',
    );
    const forced = apply('b', live, other, true);
    expect(forced.spec).toEqual({ type: 'NodePort', ports: [{ port: 80, protocol: 'TCP', name: 'y' }] });
    const item = 'k:{"port":80,"protocol":"TCP"}';
    expect(ownersOf(forced)).toEqual({
      a: { 'f:spec': { 'f:ports': { [item]: { '.': {}, 'f:port': {}, 'f:protocol': {} } } } },
      b: { 'f:spec': { 'f:type': {}, 'f:ports': { [item]: { '.': {}, 'f:port': {}, 'f:name': {} } } } },
    });
  });

  test('keeps a field given up while another has it, and what nobody applied', () => {
    const both = service({ labels: { a: '1' }, annotations: { x: 'y' } });
    const live = apply('b', apply('a', undefined, both), service({ labels: { a: '1' } }));
    const without = apply('a', live, service({}));
    expect(without.metadata).toMatchObject({ labels: { a: '1' } });
    expect(without.metadata.annotations).toBeUndefined();
    expect(apply('b', without, service({})).metadata.labels).toBeUndefined();
  });

  test('a default set by the server goes with the element it stands in', () => {
    const live = apply('a', undefined, service({ spec: { ports: [{ port: 80 }, { port: 81 }] } }));
    const [first, second] = (live.spec as { ports: object[] }).ports;
    live.spec = { type: 'ClusterIP', ports: [{ ...first, protocol: 'TCP', targetPort: 80 }, second] };
    expect(apply('a', live, service({ spec: { ports: [{ port: 81 }] } })).spec).toEqual({
      type: 'ClusterIP',
      ports: [{ port: 81 }],
    });
  });

  test('what was there before the first apply belongs to no one who applies', () => {
    const live = service({ labels: { a: '1' } });
    expect(() => apply('a', live, service({ labels: { a: '2' } }))).toThrow(
      'conflict with "before-first-apply" using v1: .metadata.labels.a',
    );
  });

  test('kubectl takes over what it applied on its own side', () => {
    const annotation = JSON.stringify(service({ labels: { a: '1' } }));
    const annotations = { 'kubectl.kubernetes.io/last-applied-configuration': annotation };
    const old = service({ labels: { a: '1' }, annotations });
    const managedFields = trackUpdate(context('kubectl-client-side-apply', 'Update'), {
      live: undefined,
      next: old,
      sent: undefined,
    });
    const live = { ...old, metadata: { ...old.metadata, ...(managedFields && { managedFields }) } };
    expect(apply('kubectl', live, service({ labels: { a: '2' } })).metadata.labels).toEqual({ a: '2' });
    expect(() => apply('other', live, service({ labels: { a: '2' } }))).toThrow('1 conflict');
  });

  test('refuses a list with an element twice, or without its keys', () => {
    const twice = service({ spec: { ports: [{ port: 80 }, { port: 80, protocol: 'TCP' }] } });
    expect(() => apply('a', undefined, twice)).toThrow('duplicate entries');
    expect(() => apply('a', undefined, service({ spec: { ports: [{ protocol: 'TCP' }] } }))).toThrow(
      '.ports: element 0: associative list with keys has an element that omits key field "port"',
    );
  });
});

describe('trackUpdate', () => {
  const track = (
    manager: string,
    live: ApiObject | undefined,
    next: ApiObject,
    sent = live?.metadata.managedFields,
  ) => {
    const managedFields = trackUpdate(context(manager, 'Update'), { live, next, sent });
    const { managedFields: _, ...metadata } = next.metadata;
    return { ...next, metadata: { ...metadata, ...(managedFields && { managedFields }) } } as ApiObject;
  };

  test('who creates has it all, as Kubernetes writes it', () => {
    const spec = { type: 'ClusterIP', selector: { app: 'x' }, ports: [{ port: 80, protocol: 'TCP' }] };
    expect(ownersOf(track('c', undefined, service({ labels: { app: 'x' }, spec })))).toEqual({
      c: {
        'f:metadata': { 'f:labels': { '.': {}, 'f:app': {} } },
        'f:spec': {
          'f:ports': { '.': {}, 'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {}, 'f:protocol': {} } },
          'f:selector': {},
          'f:type': {},
        },
      },
    });
  });

  test('who creates has what he would have by changing an object of which there was nothing but its name', () => {
    fc.assert(
      fc.property(fc.oneof(mine, yours), (object) => {
        const tracked = ownersOf(track('c', undefined, object));
        const before = apply('x', undefined, service({ labels: { z: 'z' } }));
        const { x: _, ...changed } = ownersOf(track('c', before, object));
        // The labels were there before, and so are nobody's but by their entries.
        const withoutLabels = (owners: object) =>
          JSON.parse(JSON.stringify(owners).replace('"f:labels":{".":{},', '"f:labels":{'));
        expect(withoutLabels(tracked).c['f:spec']).toEqual(withoutLabels(changed).c['f:spec']);
      }),
    );
  });

  test('takes what it changes from others, and what it removes', () => {
    const created = track('c', undefined, service({ labels: { a: '1', b: '1' } }));
    const changed = track('u', created, service({ labels: { a: '2' } }));
    expect(ownersOf(changed)).toEqual({
      c: { 'f:metadata': { 'f:labels': {} } },
      u: { 'f:metadata': { 'f:labels': { 'f:a': {} } } },
    });
    expect(track('v', changed, service({ labels: { a: '2' } }))).toEqual(changed);
  });

  test('the fields that managers have are never more than there are', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.boolean(), fc.oneof(mine, yours)), { maxLength: 8 }),
        (writes) => {
          let live: ApiObject | undefined;
          for (const [manager, applies, object] of writes) {
            live = applies ? apply(manager, live, object, true) : track(manager, live, object);
            const there = new FieldSet();
            const whole = trackUpdate(context('all', 'Update'), { live: undefined, next: live, sent: undefined });
            const all = there.union(FieldSet.fromFieldsV1(whole?.[0]?.fieldsV1 ?? {}));
            for (const fields of Object.values(ownersOf(live))) {
              expect([...FieldSet.fromFieldsV1(fields).difference(all).paths()]).toEqual([]);
            }
          }
        },
      ),
    );
  });

  test('an element without its keys is for validation to refuse', () => {
    const created = track('c', undefined, service({ spec: { ports: [{ port: 80 }] } }));
    expect(() => track('u', created, service({ spec: { ports: [{ port: 80 }, {}] } }))).not.toThrow();
  });

  test('an empty entry alone gives up tracking, and an object without owners stays without', () => {
    const created = track('c', undefined, service({ labels: { a: '1' } }));
    const reset = track('u', created, service({ labels: { a: '2' } }), [{}]);
    expect(reset.metadata.managedFields).toBeUndefined();
    expect(track('u', reset, service({ labels: { a: '3' } })).metadata.managedFields).toBeUndefined();
  });

  test('a client may move ownership, as kubectl does when it begins to apply on the server', () => {
    const created = track('c', undefined, service({ labels: { a: '1' } }));
    const moved = (created.metadata.managedFields ?? []).map((entry) => ({
      ...entry,
      manager: 'd',
      operation: 'Apply',
    }));
    expect(ownersOf(track('u', created, service({ labels: { a: '1' } }), moved))).toEqual({
      d: { 'f:metadata': { 'f:labels': { '.': {}, 'f:a': {} } } },
    });
  });

  test('more than ten that updated become one', () => {
    let live = track('m0', undefined, service({ labels: { l0: '' } }));
    for (let i = 1; i < 15; i++) {
      live = track(`m${i}`, live, service({ labels: { ...live.metadata.labels, [`l${i}`]: '' } }));
    }
    expect(live.metadata.managedFields).toHaveLength(10);
    expect(live.metadata.managedFields?.[0]?.manager).toBe('ancient-changes');
  });
});
