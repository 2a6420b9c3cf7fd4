import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type IpFamily, ipFromBigInt, parseIp } from '../../net/ip.ts';
import type { Element, SetDeclaration, TypeSelector, Value } from '../../rules/nftables/syntax.ts';
import { type Attribute, align } from '../netlink/attributes.ts';
import { ElementReader, elementBytes, elementLists } from './element-codec.ts';
import { elementLayout } from './fields.ts';

function written(list: Attribute): Uint8Array {
  // Old bytes must not show through.
  const bytes = new Uint8Array(align(list.length)).fill(0xff);
  list.write({ bytes, view: new DataView(bytes.buffer) }, 0);
  return bytes;
}

function readBack(set: SetDeclaration, elements: readonly Element[]): readonly Element[] {
  const reader = new ElementReader(set.name, elementLayout(set));
  for (const list of elementLists(elements, elementLayout(set))) reader.read(written(list).subarray(4, list.length));
  return reader.elements();
}

function value(selector: TypeSelector): fc.Arbitrary<Value> {
  const address = (family: IpFamily, max: bigint) => fc.bigInt(0n, max).map((n): Value => ipFromBigInt(n, family));
  if (selector.startsWith('ip6')) return address('IPv6', (1n << 128n) - 1n);
  if (selector.startsWith('ip')) return address('IPv4', 0xffffffffn);
  if (selector === 'meta l4proto') return fc.constantFrom('tcp', 'udp', 'sctp');
  return fc.integer({ min: 0, max: selector === 'th dport' ? 65535 : 0xffffffff });
}

const keys = fc.array(
  fc.constantFrom<TypeSelector>('ip saddr', 'ip6 daddr', 'meta l4proto', 'th dport', 'numgen random mod 16384'),
  { minLength: 1, maxLength: 5 },
);

function elementsOf({ name, key, data }: SetDeclaration): fc.Arbitrary<Element[]> {
  const comment = fc.option(fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }), { nil: undefined });
  return fc.array(
    fc
      .record({
        key: fc.tuple(...key.map(value)),
        data: data === undefined ? fc.constant(undefined) : fc.tuple(...data.map(value)),
        comment: comment.filter(
          (text) => text === undefined || (Buffer.byteLength(text) < 250 && !text.includes('\0')),
        ),
      })
      .map((parts) => ({
        set: name,
        key: parts.key,
        ...(parts.data && { data: parts.data }),
        ...(parts.comment !== undefined && { comment: parts.comment }),
      })),
  );
}

describe('elementLists', () => {
  test('is read back as it was, for every type and any comment', () => {
    const sets = fc
      .record({ key: keys, data: fc.option(keys, { nil: undefined }) })
      .map(({ key, data }): SetDeclaration => ({ name: 's', key, ...(data && { data }) }));
    const cases = sets.chain((set) => elementsOf(set).map((elements) => ({ set, elements })));
    fc.assert(
      fc.property(cases, ({ set, elements }) => {
        expect(readBack(set, elements)).toEqual(elements);
      }),
    );
  });

  test.each<[IpFamily, string[]]>([
    ['IPv4', ['0.0.0.0/8', '10.0.0.0/9', '10.128.0.0/9', '192.0.2.1/32', '255.255.255.254/31']],
    ['IPv4', ['0.0.0.0/0']],
    ['IPv6', ['::/128', 'fd00::/8', 'ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128']],
  ])('blocks of %s come back as blocks, up to the end of all addresses', (family, blocks) => {
    const set: SetDeclaration = { name: 's', key: [family === 'IPv4' ? 'ip saddr' : 'ip6 saddr'], interval: true };
    const elements = blocks.map((block) => ({ set: 's', key: [block as `${string}/${number}`] }));
    expect(readBack(set, elements)).toEqual(elements);
  });

  test.each(['::', '::1', '1::', 'fd00::1', '1:2:3:4:5:6:7:8', 'a:0:0:b::', '::ffff:c000:201', '2001:db8::1:0:0:1'])(
    'the address %s comes back, wherever its zeros are',
    (text) => {
      const elements = [{ set: 's', key: [parseIp(text)] }];
      expect(readBack({ name: 's', key: ['ip6 saddr'] }, elements)).toEqual([{ set: 's', key: [parseIp(text)] }]);
    },
  );

  test('has no list longer than an attribute can be, and leaves nothing out', () => {
    const set: SetDeclaration = { name: 's', key: ['numgen random mod 16384'] };
    const elements = Array.from({ length: 10_000 }, (_, i): Element => ({ set: 's', key: [i] }));
    const lists = elementLists(elements, elementLayout(set));
    expect(lists.length).toBeGreaterThan(1);
    for (const list of lists) expect(list.length).toBeLessThanOrEqual(0xffff);
    expect(readBack(set, elements)).toEqual(elements);
  });

  test('refuses a value of another type than the set has', () => {
    const set: SetDeclaration = { name: 's', key: ['ip saddr'] };
    for (const wrong of [80, 'tcp', ipFromBigInt(1n, 'IPv6')] as const) {
      const [list] = elementLists([{ set: 's', key: [wrong] }], elementLayout(set));
      expect(() => list && written(list)).toThrow(/is no IPv4 address/);
    }
    const [short] = elementLists([{ set: 's', key: [] }], elementLayout(set));
    expect(() => short && written(short)).toThrow(/0 values for 1 field/);
  });
});

describe('elementBytes', () => {
  test('is what an element takes', () => {
    const set: SetDeclaration = { name: 's', key: ['ip daddr', 'th dport'], data: ['ip daddr'] };
    fc.assert(
      fc.property(elementsOf(set), (elements) => {
        const layout = elementLayout(set);
        const lengths = elementLists(elements, layout).map((list) => list.length - 4);
        const sum = elements.reduce((total, element) => total + elementBytes(element, layout), 0);
        expect(lengths.reduce((total, length) => total + length, 0)).toBe(sum);
      }),
    );
  });
});

describe('ElementReader', () => {
  test('notices an element that comes twice', () => {
    const set: SetDeclaration = { name: 's', key: ['numgen random mod 16384'] };
    const [list] = elementLists([{ set: 's', key: [1] }], elementLayout(set));
    const reader = new ElementReader('s', elementLayout(set));
    if (list === undefined) throw new Error('no list');
    reader.read(written(list).subarray(4));
    expect(reader.repeats).toBe(false);
    reader.read(written(list).subarray(4));
    expect(reader.repeats).toBe(true);
  });
});
