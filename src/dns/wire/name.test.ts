import { encode } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  foldCase,
  formatName,
  isWithin,
  joinName,
  labelsOf,
  type Name,
  parentName,
  parseName,
  readName,
  rootName,
} from './name.ts';

const octet = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
const label = fc.string({ unit: octet, minLength: 1, maxLength: 20 });
const hostLabel = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?$/);
const anyName = fc.array(label, { maxLength: 8 }).map((labels) => joinName(labels) as Name);

describe('parseName', () => {
  test.each([
    ['cluster.local', '\x07cluster\x05local\0'],
    ['cluster.local.', '\x07cluster\x05local\0'],
    ['Hello.DEFAULT', '\x05hello\x07default\0'],
    ['.', '\0'],
    ['a\\.b.c', '\x03a.b\x01c\0'],
    ['a\\032b', '\x03a b\0'],
  ])('reads %j', (text, wire) => expect(parseName(text)).toBe(wire));

  test.each(['', '..', 'a..b', '.a', `${'a'.repeat(64)}.b`, Array(60).fill('abcd').join('.'), 'a\\300', 'a\\', 'é€'])(
    'refuses %j',
    (text) => expect(parseName(text)).toBeUndefined(),
  );

  test('is the inverse of formatName for any octets', () => {
    fc.assert(fc.property(anyName, (name) => void expect(parseName(formatName(name))).toBe(name)));
  });
});

describe('joinName', () => {
  test('takes a name of 255 octets and not one more', () => {
    const labels = [...Array(3).fill('a'.repeat(63)), 'a'.repeat(61)];
    expect(joinName(labels)).toHaveLength(255);
    expect(joinName([...labels.slice(0, 3), 'a'.repeat(62)])).toBeUndefined();
  });

  test('is the inverse of labelsOf, but for case', () => {
    fc.assert(
      fc.property(
        fc.array(label, { maxLength: 8 }),
        (labels) => void expect(labelsOf(joinName(labels) as Name)).toEqual(labels.map(foldCase)),
      ),
    );
  });
});

describe('foldCase', () => {
  test('changes ASCII letters only', () => {
    expect(foldCase('AZaz09-_ÀÉßÿ')).toBe('azaz09-_ÀÉßÿ');
  });
});

describe('parentName', () => {
  test('takes the first label away, down to the root', () => {
    const name = parseName('a.bc.d') as Name;
    expect(formatName(parentName(name))).toBe('bc.d.');
    expect(parentName(parentName(parentName(name)))).toBe(rootName);
    expect(parentName(rootName)).toBe(rootName);
  });
});

describe('isWithin', () => {
  test('holds for a name itself and for every ancestor, and no other', () => {
    fc.assert(
      fc.property(anyName, anyName, (name, other) => {
        const ancestors = [name];
        while (ancestors.at(-1) !== rootName) ancestors.push(parentName(ancestors.at(-1) as Name));
        for (const ancestor of ancestors) expect(isWithin(name, ancestor)).toBe(true);
        expect(isWithin(name, other)).toBe(ancestors.includes(other));
      }),
    );
  });

  test('is not misled by octets inside a label that look like an ancestor', () => {
    const ancestor = parseName('local') as Name;
    expect(isWithin(joinName(['x\x05local']) as Name, ancestor)).toBe(false);
  });
});

describe('readName', () => {
  test('reads what the reference implementation writes', () => {
    fc.assert(
      fc.property(fc.array(hostLabel, { minLength: 1, maxLength: 6 }), (labels) => {
        const message = encode({ questions: [{ type: 'A', name: labels.join('.') }] });
        expect(readName(message, 12)).toEqual({ name: joinName(labels), end: message.length - 4 });
      }),
    );
  });

  test('follows pointers to before, one after the other', () => {
    const message = Buffer.from('\x05local\0\x07CLUSTER\xc0\x00\x03svc\xc0\x07', 'latin1');
    expect(readName(message, 17)).toEqual({ name: parseName('svc.cluster.local'), end: 23 });
  });

  test.each([
    ['a pointer to itself', '\xc0\x00', 0],
    ['a pointer ahead', '\xc0\x03\0\x01a\0', 0],
    ['two pointers in a ring', '\x01a\xc0\x04\x01b\xc0\x00', 4],
    ['a label past the end', '\x05abc', 0],
    ['no final zero', '\x03abc', 0],
    ['half a pointer', '\x01a\xc0', 0],
    ['the label type 01', '\x41a\0', 0],
    ['the label type 10', '\x81a\0', 0],
    ['an offset past the end', '\0', 5],
    ['more than 255 octets', `${`\x3f${'a'.repeat(63)}`.repeat(4)}\0`, 0],
  ])('refuses %s', (_what, octets, offset) => {
    expect(readName(Buffer.from(octets, 'latin1'), offset)).toBeUndefined();
  });

  test('ends on any octets', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.nat(300), (octets, offset) => {
        const read = readName(Buffer.from(octets), offset);
        if (read !== undefined) {
          expect(read.name.length).toBeLessThanOrEqual(255);
          expect(read.end).toBeGreaterThan(offset);
          expect(read.end).toBeLessThanOrEqual(octets.length);
        }
      }),
    );
  });
});
