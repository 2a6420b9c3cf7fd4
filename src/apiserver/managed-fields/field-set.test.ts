import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FieldSet, FieldSetError, formatPath } from './field-set.ts';

const step = fc.oneof(
  fc.string().map((name) => `f:${name}`),
  fc
    .record({ port: fc.nat(65_535), protocol: fc.constantFrom('TCP', 'UDP') })
    .map((keys) => `k:${JSON.stringify(keys)}`),
  fc.oneof(fc.string(), fc.nat()).map((value) => `v:${JSON.stringify(value)}`),
);
const paths = fc.array(fc.array(step, { minLength: 1, maxLength: 4 }), { maxLength: 12 });

function setOf(members: readonly (readonly string[])[]): FieldSet {
  const set = new FieldSet();
  for (const path of members) set.add(path);
  return set;
}

describe('FieldSet', () => {
  test('reads what it wrote as fieldsV1', () => {
    fc.assert(
      fc.property(paths, (members) => {
        const set = setOf(members);
        const read = FieldSet.fromFieldsV1(JSON.parse(JSON.stringify(set.toFieldsV1())));
        expect(read.equals(set)).toBe(true);
        expect([...read.paths()]).toEqual([...set.paths()]);
      }),
    );
  });

  test('union, intersection and difference are those of the members', () => {
    fc.assert(
      fc.property(paths, paths, (left, right) => {
        const a = setOf(left);
        const b = setOf(right);
        const texts = (set: FieldSet) => [...set.paths()].map((path) => path.join('\n')).sort();
        const inB = new Set(texts(b));
        expect(texts(a.union(b))).toEqual([...new Set([...texts(a), ...texts(b)])].sort());
        expect(texts(a.intersection(b))).toEqual(texts(a).filter((path) => inB.has(path)));
        expect(texts(a.difference(b))).toEqual(texts(a).filter((path) => !inB.has(path)));
        expect(a.difference(a).isEmpty).toBe(true);
      }),
    );
  });

  test('writes a dot for a member with others below it, and keys in order', () => {
    const fields = { 'f:ports': { '.': {}, 'k:{"protocol":"TCP","port":80}': { '.': {}, 'f:port': {} } } };
    expect(JSON.stringify(FieldSet.fromFieldsV1(fields).toFieldsV1())).toBe(
      '{"f:ports":{".":{},"k:{\\"port\\":80,\\"protocol\\":\\"TCP\\"}":{".":{},"f:port":{}}}}',
    );
  });

  test.each([[{ spec: {} }], [{ 'k:x': {} }], [{ 'f:a': 1 }], [[]], [{ 'i:"a"': {} }]])('refuses %j', (fields) => {
    expect(() => FieldSet.fromFieldsV1(fields)).toThrow(FieldSetError);
  });
});

describe('formatPath', () => {
  test('is as in the conflicts of Kubernetes', () => {
    const path = ['f:spec', 'f:ports', 'k:{"port":80,"protocol":"TCP"}', 'f:targetPort'];
    expect(formatPath(path)).toBe('.spec.ports[port=80,protocol="TCP"].targetPort');
    expect(formatPath(['f:metadata', 'f:finalizers', 'v:"a/b"'])).toBe('.metadata.finalizers[="a/b"]');
  });
});
