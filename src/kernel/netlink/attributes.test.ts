import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  type Attribute,
  attributesLength,
  be16,
  be32,
  be64,
  bytes,
  encodePayload,
  flag,
  iterateAttributes,
  NLA_F_NESTED,
  nested,
  nestedList,
  parseAttributes,
  text,
  u8,
  u16,
  u32,
  u64,
  writeAttributes,
} from './attributes.ts';
import { readBe16, readBe32, readBe64, readText, readU8, readU16, readU32, readU64 } from './readers.ts';

const noHeader = new Uint8Array(0);
const encode = (...attributes: Attribute[]) => encodePayload(noHeader, attributes);
const hex = (data: Uint8Array) => Buffer.from(data).toString('hex');
const first = (data: Uint8Array) => [...iterateAttributes(data)][0]?.[1];

describe('attribute encoding', () => {
  // By hand from the layout in include/uapi/linux/netlink.h, on a little-endian machine.
  test.each([
    ['u8', u8(1, 0xab), '05000100ab000000'],
    ['u16', u16(2, 0x1234), '0600020034120000'],
    ['u32', u32(3, 0x12345678), '0800030078563412'],
    ['u64', u64(4, 0x0102030405060708n), '0c0004000807060504030201'],
    ['be16', be16(5, 0x1234), '0600050012340000'],
    ['be32', be32(6, 0x12345678), '0800060012345678'],
    ['be32 of a negative number', be32(6, -100), '08000600ffffff9c'],
    ['be64', be64(7, 0x0102030405060708n), '0c0007000102030405060708'],
    ['text', text(8, 'lo'), '070008006c6f0000'],
    ['bytes', bytes(9, Uint8Array.of(1, 2, 3, 4, 5)), '090009000102030405000000'],
    ['flag', flag(10), '04000a00'],
    ['nested', nested(11, u8(1, 7), flag(2)), '10000b80050001000700000004000200'],
  ])('%s', (_, attribute, expected) => {
    expect(hex(encode(attribute))).toBe(expected);
  });
});

const integers = fc.oneof(
  fc.tuple(fc.constant(u8), fc.nat(0xff), fc.constant(readU8)),
  fc.tuple(fc.constant(u16), fc.nat(0xffff), fc.constant(readU16)),
  fc.tuple(fc.constant(u32), fc.nat(0xffffffff), fc.constant(readU32)),
  fc.tuple(fc.constant(be16), fc.nat(0xffff), fc.constant(readBe16)),
  fc.tuple(fc.constant(be32), fc.nat(0xffffffff), fc.constant(readBe32)),
);
const bigIntegers = fc.tuple(
  fc.constantFrom({ write: u64, read: readU64 }, { write: be64, read: readBe64 }),
  fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
);
const attributeType = fc.integer({ min: 1, max: 0x3fff });

describe('readers', () => {
  test('give back what the integer writers wrote', () => {
    fc.assert(
      fc.property(integers, attributeType, ([write, value, read], type) => {
        expect(read(parseAttributes(encode(write(type, value))).get(type))).toBe(value);
      }),
    );
  });

  test('give back 64-bit integers', () => {
    fc.assert(
      fc.property(bigIntegers, ([{ write, read }, value]) => {
        expect(read(first(encode(write(1, value))))).toBe(value);
      }),
    );
  });

  test('give back text without NUL', () => {
    const names = fc.string({ unit: 'grapheme' }).filter((name) => !name.includes('\0'));
    fc.assert(
      fc.property(names, (name) => {
        expect(readText(first(encode(text(1, name))))).toBe(name);
      }),
    );
  });

  test('give undefined for what is missing or too short', () => {
    for (const read of [readU8, readU16, readU32, readU64, readBe16, readBe32, readBe64, readText]) {
      expect(read(undefined)).toBeUndefined();
    }
    for (const read of [readU16, readU32, readU64, readBe16, readBe32, readBe64]) {
      expect(read(Uint8Array.of(1))).toBeUndefined();
    }
  });
});

/** An attribute tree as plain data, the property tests' own idea of what should come back. */
type Tree = { type: number; value: Uint8Array } | { type: number; children: Tree[] };
const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small' },
    fc.record({ type: attributeType, value: fc.uint8Array({ maxLength: 80 }) }),
    fc.record({ type: attributeType, children: fc.array(tie('tree'), { maxLength: 4 }) }),
  ),
}));

function build(node: Tree): Attribute {
  return 'value' in node ? bytes(node.type, node.value) : nestedList(node.type, node.children.map(build));
}

function expectSame(parsed: readonly (readonly [number, Uint8Array])[], expected: readonly Tree[]): void {
  expect(parsed.map(([type]) => type)).toEqual(expected.map(({ type }) => type));
  for (const [i, node] of expected.entries()) {
    const value = parsed[i]?.[1] ?? noHeader;
    if ('value' in node) expect(hex(value)).toBe(hex(node.value));
    else expectSame([...iterateAttributes(value)], node.children);
  }
}

describe('iterateAttributes', () => {
  test('gives back any tree, in order, repeated types included', () => {
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 5 }), (trees) => {
        expectSame([...iterateAttributes(encode(...trees.map(build)))], trees);
      }),
    );
  });

  test('ends within any bytes and never reads past the end', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (data) => {
        for (const [, value] of iterateAttributes(data)) {
          expect(value.byteOffset + value.length).toBeLessThanOrEqual(data.byteOffset + data.length);
        }
      }),
    );
  });

  test('takes the type flags off', () => {
    expect([...iterateAttributes(encode(u8(1 | NLA_F_NESTED, 0)))][0]?.[0]).toBe(1);
  });
});

describe('writeAttributes', () => {
  test('writes exactly attributesLength bytes, padding zeroed, whatever stood there', () => {
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 5 }), fc.nat(3), (trees, words) => {
        const attributes = trees.map(build);
        const length = attributesLength(attributes);
        const start = words * 4;
        const dirty = new Uint8Array(start + length + 8).fill(0xee);
        const end = writeAttributes(attributes, { bytes: dirty, view: new DataView(dirty.buffer) }, start);
        expect(end).toBe(start + length);
        expect(hex(dirty.subarray(start, end))).toBe(hex(encode(...attributes)));
        expect([...dirty.subarray(0, start), ...dirty.subarray(end)].every((byte) => byte === 0xee)).toBe(true);
      }),
    );
  });
});

describe('encodePayload', () => {
  test('pads the header to four bytes', () => {
    expect(hex(encodePayload(Uint8Array.of(1, 2, 3, 4, 5), [u8(1, 9)]))).toBe('01020304050000000500010009000000');
  });
});

describe('nested', () => {
  test('takes what its 16-bit length can say, and no more', () => {
    const header = 4;
    expect(nested(2, bytes(1, new Uint8Array(65_532 - 2 * header))).length).toBe(65_532);
    expect(() => nested(2, bytes(1, new Uint8Array(65_533 - 2 * header)))).toThrow(RangeError);
    expect(bytes(1, new Uint8Array(65_535 - header)).length).toBe(65_535);
    expect(() => bytes(1, new Uint8Array(65_536 - header))).toThrow(RangeError);
  });
});
