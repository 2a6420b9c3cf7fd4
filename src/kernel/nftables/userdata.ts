import type { SetDeclaration, TypeSelector } from '../../rules/nftables/syntax.ts';
import { littleEndian, type WireTarget } from '../netlink/attributes.ts';
import { fieldType } from './fields.ts';

/**
 * User data: bytes that the kernel keeps with an object and never reads. nft stores there what it needs to show a
 * thing as it was written, as a list of (u8 type, u8 length, value); see libnftnl's include/libnftnl/udata.h.
 */

export const tableComment = 0;
export const ruleComment = 0;
export const elementComment = 0;

// Entries of a set's user data.
const setKeyByteOrder = 0;
const setDataByteOrder = 1;
const setKeyTypeof = 3;
const setDataTypeof = 4;
// Within a typeof: the kind of expression, and what this kind needs; numbers of nft's src/.
const typeofKind = 0;
const typeofData = 1;
const kind = { payload: 7, meta: 9, concatenation: 13, numgen: 23 } as const;
const byteOrderNone = 0;

function entry(type: number, value: Uint8Array): Uint8Array {
  return Uint8Array.from([type, value.length, ...value]);
}

function u32(type: number, value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, littleEndian);
  return entry(type, bytes);
}

function join(parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

/** A comment of a table, rule or element. */
export function commentUserdata(type: number, comment: string): Uint8Array {
  return entry(type, new TextEncoder().encode(`${comment}\0`));
}

/**
 * Writes what `commentUserdata` makes where all is zero, and gives its length. Names of Services are ASCII and there
 * are as many as Services, so those are written by hand.
 */
export function writeCommentUserdata(
  type: number,
  comment: string,
  { target: { bytes }, at }: { readonly target: WireTarget; readonly at: number },
): number {
  let end = at + 2;
  for (let i = 0; i < comment.length; i++) {
    const code = comment.charCodeAt(i);
    if (code > 127) {
      const encoded = commentUserdata(type, comment);
      bytes.set(encoded, at);
      return encoded.length;
    }
    bytes[end++] = code;
  }
  bytes[at] = type;
  bytes[at + 1] = end + 1 - (at + 2);
  return end + 1 - at;
}

/** The comment in user data, if there is one. */
export function readComment(type: number, userdata: Uint8Array | undefined): string | undefined {
  const value = userdata === undefined ? undefined : entries(userdata).get(type);
  return value === undefined ? undefined : new TextDecoder().decode(value.subarray(0, -1));
}

function entries(bytes: Uint8Array): Map<number, Uint8Array> {
  const found = new Map<number, Uint8Array>();
  for (let at = 0; at + 2 <= bytes.length; ) {
    const end = at + 2 + (bytes[at + 1] ?? 0);
    found.set(bytes[at] ?? 0, bytes.subarray(at + 2, end));
    at = end;
  }
  return found;
}

type Types = readonly TypeSelector[];

/** What makes nft show a set by the selectors of its declaration. */
export function setUserdata(set: Pick<SetDeclaration, 'key' | 'data'>): Uint8Array {
  const parts = [u32(setKeyByteOrder, byteOrder(set.key))];
  if (set.data !== undefined) parts.push(u32(setDataByteOrder, byteOrder(set.data)));
  parts.push(entry(setKeyTypeof, typeofKey(set.key)));
  if (set.data !== undefined) parts.push(entry(setDataTypeof, typeofKey(set.data)));
  return join(parts);
}

function byteOrder(key: Types): number {
  const [only, second] = key;
  return only === undefined || second !== undefined ? byteOrderNone : fieldType(only).byteOrder;
}

function typeofKey(key: Types): Uint8Array {
  const [only, second] = key;
  if (only !== undefined && second === undefined) return typeofSelector(only);
  const parts = key.map((selector, i) => entry(i, typeofSelector(selector)));
  return join([u32(typeofKind, kind.concatenation), entry(typeofData, join(parts))]);
}

function typeofSelector(selector: TypeSelector): Uint8Array {
  const [expression, ...numbers] = typeofNumbers(selector);
  return join([u32(typeofKind, expression), entry(typeofData, join(numbers.map((value, i) => u32(i, value))))]);
}

/** Kind of expression and its numbers: protocol and field of a header, key of `meta`, type and modulus of `numgen`. */
function typeofNumbers(selector: TypeSelector): readonly [number, ...number[]] {
  const fixed = fixedNumbers.get(selector);
  if (fixed !== undefined) return fixed;
  const modulus = /^numgen random mod (\d+)$/.exec(selector)?.[1];
  if (modulus === undefined) throw new TypeError(`nftables: no set can have the type of ${selector}`);
  return [kind.numgen, numgenRandom, Number(modulus), 0];
}
const numgenRandom = 1;
const fixedNumbers = new Map<TypeSelector, readonly [number, ...number[]]>([
  ['ip saddr', [kind.payload, 12, 11]],
  ['ip daddr', [kind.payload, 12, 12]],
  ['ip6 saddr', [kind.payload, 13, 8]],
  ['ip6 daddr', [kind.payload, 13, 9]],
  ['th dport', [kind.payload, 11, 2]],
  ['meta l4proto', [kind.meta, 16]],
]);
const fixedByNumbers = new Map([...fixedNumbers].map(([selector, numbers]) => [numbers.join(), selector]));

/** The types a set was declared with, as far as they are among our selectors; empty where they are not. */
export function readSetTypes(userdata: Uint8Array | undefined): { key: Types; data: Types } {
  const found = entries(userdata ?? new Uint8Array(0));
  return { key: readTypeof(found.get(setKeyTypeof)), data: readTypeof(found.get(setDataTypeof)) };
}

function readTypeof(bytes: Uint8Array | undefined): Types {
  if (bytes === undefined) return [];
  const found = entries(bytes);
  const data = found.get(typeofData) ?? new Uint8Array(0);
  const expression = readNumber(found.get(typeofKind));
  if (expression === kind.concatenation) {
    const parts = [...entries(data).values()].map(readTypeof);
    return parts.every((part) => part.length === 1) ? parts.flat() : [];
  }
  const numbers = [...entries(data).values()].map(readNumber);
  if (expression === kind.numgen && numbers[0] === numgenRandom) return [`numgen random mod ${numbers[1] ?? 0}`];
  const selector = fixedByNumbers.get([expression, ...numbers].join());
  return selector === undefined ? [] : [selector];
}

function readNumber(bytes: Uint8Array | undefined): number {
  if (bytes === undefined || bytes.length < 4) return 0;
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, littleEndian);
}
