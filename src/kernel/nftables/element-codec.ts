import { cidrSize, parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip, ipFromBigInt, ipToBigInt } from '../../net/ip.ts';
import type { Block, Element, Value } from '../../rules/nftables/syntax.ts';
import type { WireTarget } from '../netlink/attributes.ts';
import { type Attribute, align, attributeHeaderLength, littleEndian, NLA_F_NESTED } from '../netlink/attributes.ts';
import {
  NFT_SET_ELEM_INTERVAL_END,
  NFTA_DATA_VALUE,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_DATA,
  NFTA_SET_ELEM_FLAGS,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_USERDATA,
} from './constants.ts';
import type { ElementLayout, FieldType } from './fields.ts';
import { elementComment, readComment, writeCommentUserdata } from './userdata.ts';

const header = attributeHeaderLength;
/** An attribute's length has 16 bits. */
const maxListBytes = 0xffff - header;

/** Bytes an element takes in a message. */
export function elementBytes(element: Element, layout: ElementLayout): number {
  if (layout.interval) return intervalBytes(element, layout);
  return (
    header +
    nestedValueBytes(layout.keyBytes) +
    (layout.dataBytes > 0 ? nestedValueBytes(layout.dataBytes) : 0) +
    commentBytes(element.comment)
  );
}

function nestedValueBytes(length: number): number {
  return header + header + length;
}

function commentBytes(comment: string | undefined): number {
  // Type, length and the NUL that ends it.
  return comment === undefined ? 0 : align(header + 2 + Buffer.byteLength(comment) + 1);
}

/** Two elements: where the block begins and, unless that is the end of all addresses, the first one behind it. */
function intervalBytes(element: Element, layout: ElementLayout): number {
  const one = header + nestedValueBytes(layout.keyBytes);
  return one + commentBytes(element.comment) + (intervalEnd(element.key[0]) === undefined ? 0 : one + header + 4);
}

function block(value: Value | undefined): ReturnType<typeof parseCidr> {
  return parseCidr(String(value));
}

function intervalEnd(value: Value | undefined): Ip | undefined {
  const cidr = block(value);
  const end = ipToBigInt(cidr.base) + cidrSize(cidr);
  const all = 1n << (cidr.family === 'IPv4' ? 32n : 128n);
  return end === all ? undefined : ipFromBigInt(end, cidr.family);
}

/**
 * Elements as attributes `NFTA_SET_ELEM_LIST_ELEMENTS`, each as long as one can be: one for each message. They write
 * straight into the message buffer, as this is done for every element of a full load.
 */
export function elementLists(elements: readonly Element[], layout: ElementLayout): Attribute[] {
  const lists: Attribute[] = [];
  let from = 0;
  let length = 0;
  elements.forEach((element, i) => {
    const bytes = elementBytes(element, layout);
    if (length + bytes > maxListBytes) {
      lists.push(new ElementList(elements.slice(from, i), layout, length));
      from = i;
      length = 0;
    }
    length += bytes;
  });
  if (length > 0) lists.push(new ElementList(from === 0 ? elements : elements.slice(from), layout, length));
  return lists;
}

class ElementList implements Attribute {
  readonly type = NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED;
  readonly length: number;
  readonly #elements: readonly Element[];
  readonly #layout: ElementLayout;

  constructor(elements: readonly Element[], layout: ElementLayout, bytes: number) {
    this.#elements = elements;
    this.#layout = layout;
    this.length = header + bytes;
  }

  write(target: WireTarget, offset: number): void {
    // The pieces below leave out their padding and the high bytes of small fields.
    target.bytes.fill(0, offset, offset + align(this.length));
    writeHeader(target, offset, { type: this.type, length: this.length });
    let at = offset + header;
    for (const element of this.#elements) at = encodeElement(element, this.#layout, { target, at });
  }
}

/**
 * Writes an element as `NFTA_LIST_ELEM`, or as the two that are the ends of a block. All must be zero there, for
 * `elementBytes` bytes. Gives the offset behind it.
 */
export function encodeElement(element: Element, layout: ElementLayout, place: Place): number {
  return layout.interval ? writeInterval(element, layout, place) : writeElement(element, layout, place);
}

interface Place {
  readonly target: WireTarget;
  readonly at: number;
}

function writeHeader({ view }: WireTarget, at: number, attribute: { type: number; length: number }): void {
  view.setUint16(at, attribute.length, littleEndian);
  view.setUint16(at + 2, attribute.type, littleEndian);
}

function writeElement(element: Element, layout: ElementLayout, { target, at }: Place): number {
  let next = writeFields(NFTA_SET_ELEM_KEY, { values: element.key, types: layout.key }, { target, at: at + header });
  if (layout.dataBytes > 0) {
    next = writeFields(NFTA_SET_ELEM_DATA, { values: element.data ?? [], types: layout.data }, { target, at: next });
  }
  next = writeComment(element.comment, { target, at: next });
  writeHeader(target, at, { type: NFTA_LIST_ELEM | NLA_F_NESTED, length: next - at });
  return next;
}

function writeInterval(element: Element, layout: ElementLayout, { target, at }: Place): number {
  const { base } = block(element.key[0]);
  const start = { ...element, key: [base] };
  const next = writeElement(start, layout, { target, at });
  const end = intervalEnd(element.key[0]);
  if (end === undefined) return next;
  writeHeader(target, next + header, { type: NFTA_SET_ELEM_FLAGS, length: header + 4 });
  target.view.setUint32(next + header + header, NFT_SET_ELEM_INTERVAL_END);
  const key = { values: [end], types: layout.key };
  const last = writeFields(NFTA_SET_ELEM_KEY, key, { target, at: next + header + header + 4 });
  writeHeader(target, next, { type: NFTA_LIST_ELEM | NLA_F_NESTED, length: last - next });
  return last;
}

function writeFields(
  type: number,
  { values, types }: { values: readonly Value[]; types: readonly FieldType[] },
  { target, at }: Place,
): number {
  if (values.length !== types.length)
    throw new TypeError(`nftables: ${values.length} values for ${types.length} fields`);
  let next = at + header + header;
  for (let i = 0; i < types.length; i++) {
    const field = types[i];
    const value = values[i];
    if (field === undefined || value === undefined) break;
    field.write(value, target, next);
    next += align(field.bytes);
  }
  writeHeader(target, at, { type: type | NLA_F_NESTED, length: next - at });
  writeHeader(target, at + header, { type: NFTA_DATA_VALUE, length: next - at - header });
  return next;
}

function writeComment(comment: string | undefined, { target, at }: Place): number {
  if (comment === undefined) return at;
  const length = header + writeCommentUserdata(elementComment, comment, { target, at: at + header });
  writeHeader(target, at, { type: NFTA_SET_ELEM_USERDATA, length });
  return at + align(length);
}

/** Reads what the kernel has under `NFTA_SET_ELEM_LIST_ELEMENTS`. Intervals stand there as their two ends. */
export class ElementReader {
  readonly #set: string;
  readonly #layout: ElementLayout;
  readonly #elements: Element[] = [];
  readonly #seen = new Set<string>();
  #count = 0;
  readonly #ends: { readonly ip: Ip; readonly end: boolean; readonly comment: string | undefined }[] = [];

  constructor(set: string, layout: ElementLayout) {
    this.#set = set;
    this.#layout = layout;
  }

  /** Takes one list, without its own header. */
  read(list: Uint8Array): void {
    const bytes = Buffer.from(list.buffer, list.byteOffset, list.byteLength);
    const source = { bytes, view: new DataView(list.buffer, list.byteOffset, list.byteLength) };
    for (const [at, end] of attributesIn(source, 0, list.length)) this.#readElement(source, at, end);
  }

  /** Whether something came twice: see `loadElements`. */
  get repeats(): boolean {
    return this.#seen.size < this.#count;
  }

  /** All elements read. */
  elements(): readonly Element[] {
    return this.#layout.interval ? this.#blocks() : this.#elements;
  }

  #readElement(source: { bytes: Buffer; view: DataView }, from: number, to: number): void {
    let key: Value[] = [];
    let data: Value[] | undefined;
    let comment: string | undefined;
    let end = false;
    let raw = '';
    for (const [at, stop, type] of attributesIn(source, from, to)) {
      if (type === NFTA_SET_ELEM_KEY) {
        key = readFields(source, at + header, this.#layout.key);
        raw = source.bytes.toString('latin1', at + header, stop);
      } else if (type === NFTA_SET_ELEM_DATA) data = readFields(source, at + header, this.#layout.data);
      else if (type === NFTA_SET_ELEM_FLAGS) end = source.view.getUint32(at) === NFT_SET_ELEM_INTERVAL_END;
      else if (type === NFTA_SET_ELEM_USERDATA) comment = readComment(elementComment, source.bytes.subarray(at, stop));
    }
    this.#count++;
    this.#seen.add(end ? `end ${raw}` : raw);
    if (this.#layout.interval) this.#ends.push({ ip: key[0] as Ip, end, comment });
    else this.#elements.push({ set: this.#set, key, ...(data && { data }), ...(comment !== undefined && { comment }) });
  }

  #blocks(): Element[] {
    const ends = this.#ends
      .map(({ ip, end, comment }) => ({ at: ipToBigInt(ip), family: familyOf(ip), end, comment }))
      .sort((a, b) => (a.at < b.at ? -1 : a.at > b.at ? 1 : Number(b.end) - Number(a.end)));
    const blocks: Element[] = [];
    ends.forEach(({ at, family, end, comment }, i) => {
      if (end) return;
      const width = family === 'IPv4' ? 32 : 128;
      const next = ends[i + 1]?.at ?? 1n << BigInt(width);
      const prefix = width - ((next - at).toString(2).length - 1);
      const key: [Block] = [`${ipFromBigInt(at, family)}/${prefix}`];
      blocks.push({ set: this.#set, key, ...(comment !== undefined && { comment }) });
    });
    return blocks;
  }
}

function readFields(source: WireTarget, from: number, types: readonly FieldType[]): Value[] {
  let at = from;
  return types.map((field) => {
    const value = field.read(source, at);
    at += align(field.bytes);
    return value;
  });
}

/** Start and end of each attribute's value, and its type without flags. */
function* attributesIn({ view }: WireTarget, from: number, to: number): Generator<[number, number, number]> {
  for (let at = from; at + header <= to; ) {
    const length = view.getUint16(at, littleEndian);
    if (length < header || at + length > to) return;
    yield [at + header, at + length, view.getUint16(at + 2, littleEndian) & ~NLA_F_NESTED];
    at += align(length);
  }
}
