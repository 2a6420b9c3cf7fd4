import { endianness } from 'node:os';

/** Whether this machine stores the low byte first; netlink headers and most attributes are in host order. */
export const littleEndian: boolean = endianness() === 'LE';

/** Bytes of `nlattr`: a u16 length that counts itself, and a u16 type. */
export const attributeHeaderLength = 4;
/** The type bit of attributes that hold attributes. */
export const NLA_F_NESTED = 0x8000;
/** The type bit of attributes in network byte order. */
export const NLA_F_NET_BYTEORDER = 0x4000;
const typeMask = ~(NLA_F_NESTED | NLA_F_NET_BYTEORDER);
/** The length field has 16 bits. */
const maxAttributeLength = 0xffff;

/** The next multiple of four: attributes and messages start on one. */
export function align(length: number): number {
  return (length + 3) & ~3;
}

/** Where attributes are written: one stretch of bytes, and a view on the same bytes. */
export interface WireTarget {
  readonly bytes: Uint8Array;
  readonly view: DataView;
}

/** One netlink attribute (type, length, value), ready to be written. Values are immutable and may be shared. */
export interface Attribute {
  readonly type: number;
  /** Bytes of header and value, without the padding behind: at most 65,535. */
  readonly length: number;
  /** Writes header, value and zero padding at `offset`; the target must have `align(length)` bytes there. */
  write(target: WireTarget, offset: number): void;
}

function writeHeader(attribute: Attribute, { view }: WireTarget, offset: number): void {
  view.setUint16(offset, attribute.length, littleEndian);
  view.setUint16(offset + 2, attribute.type, littleEndian);
}

type Width = 1 | 2 | 4 | 8;

class IntegerAttribute implements Attribute {
  readonly type: number;
  readonly length: number;
  readonly #width: Width;
  readonly #little: boolean;
  readonly #value: number | bigint;

  constructor(type: number, width: Width, encoding: { value: number | bigint; little: boolean }) {
    this.type = type;
    this.length = attributeHeaderLength + width;
    this.#width = width;
    this.#value = encoding.value;
    this.#little = encoding.little;
  }

  write(target: WireTarget, offset: number): void {
    writeHeader(this, target, offset);
    const at = offset + attributeHeaderLength;
    const { view } = target;
    switch (this.#width) {
      case 8:
        view.setBigUint64(at, BigInt(this.#value), this.#little);
        break;
      case 4:
        view.setUint32(at, Number(this.#value), this.#little);
        break;
      case 2:
        view.setUint16(at, Number(this.#value), this.#little);
        view.setUint16(at + 2, 0);
        break;
      case 1:
        view.setUint32(at, 0);
        view.setUint8(at, Number(this.#value));
        break;
    }
  }
}

class BytesAttribute implements Attribute {
  readonly type: number;
  readonly length: number;
  readonly #value: Uint8Array;

  constructor(type: number, value: Uint8Array) {
    this.type = type;
    this.length = checkedLength(attributeHeaderLength + value.length);
    this.#value = value;
  }

  write(target: WireTarget, offset: number): void {
    writeHeader(this, target, offset);
    const { bytes } = target;
    const value = this.#value;
    const start = offset + attributeHeaderLength;
    // A loop: for the few bytes of a map key, TypedArray.set costs more than the copy.
    if (value.length <= 32) for (let i = 0; i < value.length; i++) bytes[start + i] = value[i] ?? 0;
    else bytes.set(value, start);
    pad(bytes, start + value.length, offset + align(this.length));
  }
}

class NestedAttribute implements Attribute {
  readonly type: number;
  readonly length: number;
  readonly #children: readonly Attribute[];

  constructor(type: number, children: readonly Attribute[]) {
    this.type = type | NLA_F_NESTED;
    this.length = checkedLength(attributeHeaderLength + attributesLength(children));
    this.#children = children;
  }

  write(target: WireTarget, offset: number): void {
    writeHeader(this, target, offset);
    writeAttributes(this.#children, target, offset + attributeHeaderLength);
  }
}

function pad(bytes: Uint8Array, from: number, to: number): void {
  for (let i = from; i < to; i++) bytes[i] = 0;
}

function checkedLength(length: number): number {
  if (length > maxAttributeLength) throw new RangeError(`netlink attribute of ${length} bytes: the most is 65535`);
  return length;
}

/** An 8-bit integer. */
export function u8(type: number, value: number): Attribute {
  return new IntegerAttribute(type, 1, { value, little: littleEndian });
}

/** A 16-bit integer in host order. */
export function u16(type: number, value: number): Attribute {
  return new IntegerAttribute(type, 2, { value, little: littleEndian });
}

/** A 32-bit integer in host order; a negative one is written as its two's complement. */
export function u32(type: number, value: number): Attribute {
  return new IntegerAttribute(type, 4, { value, little: littleEndian });
}

/** A 64-bit integer in host order. */
export function u64(type: number, value: bigint): Attribute {
  return new IntegerAttribute(type, 8, { value, little: littleEndian });
}

/** A 16-bit integer in network order. */
export function be16(type: number, value: number): Attribute {
  return new IntegerAttribute(type, 2, { value, little: false });
}

/** A 32-bit integer in network order. */
export function be32(type: number, value: number): Attribute {
  return new IntegerAttribute(type, 4, { value, little: false });
}

/** A 64-bit integer in network order. */
export function be64(type: number, value: bigint): Attribute {
  return new IntegerAttribute(type, 8, { value, little: false });
}

/** UTF-8 with a NUL at the end, as the kernel wants names. */
export function text(type: number, value: string): Attribute {
  return new BytesAttribute(type, encoder.encode(`${value}\0`));
}
const encoder = new TextEncoder();

/** Raw bytes. The bytes are referenced, not copied: they must not change before the attribute is written. */
export function bytes(type: number, value: Uint8Array): Attribute {
  return new BytesAttribute(type, value);
}

/** An attribute whose presence says it all. */
export function flag(type: number): Attribute {
  return new BytesAttribute(type, new Uint8Array(0));
}

/**
 * Attributes within an attribute, marked `NLA_F_NESTED`.
 * @throws RangeError above 65,535 bytes: a long list of elements must be spread over several messages
 */
export function nested(type: number, ...children: readonly Attribute[]): Attribute {
  return new NestedAttribute(type, children);
}

/** As `nested`, for children in an array: argument lists have a bound that element lists can pass. */
export function nestedList(type: number, children: readonly Attribute[]): Attribute {
  return new NestedAttribute(type, children);
}

/** Bytes the attributes take one after another, padding included. */
export function attributesLength(attributes: readonly Attribute[]): number {
  let length = 0;
  for (const attribute of attributes) length += align(attribute.length);
  return length;
}

/** Writes attributes one after another; gives the offset behind the last one's padding. */
export function writeAttributes(attributes: readonly Attribute[], target: WireTarget, offset: number): number {
  let at = offset;
  for (const attribute of attributes) {
    attribute.write(target, at);
    at += align(attribute.length);
  }
  return at;
}

/** The payload of one message: a family's fixed header, padded, and attributes behind it. */
export function encodePayload(header: Uint8Array, attributes: readonly Attribute[]): Uint8Array {
  const start = align(header.length);
  const payload = new Uint8Array(start + attributesLength(attributes));
  payload.set(header);
  writeAttributes(attributes, { bytes: payload, view: new DataView(payload.buffer) }, start);
  return payload;
}

/**
 * Walks the attributes between two offsets, in order; lists repeat a type. Type flags are taken off. Values are views
 * on `buffer`, not copies. Stops at the first header that does not fit: the kernel never sends one.
 */
export function* iterateAttributes(
  buffer: Uint8Array,
  offset = 0,
  end: number = buffer.length,
): Generator<readonly [type: number, value: Uint8Array]> {
  const view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  let at = offset;
  while (at + attributeHeaderLength <= end) {
    const length = view.getUint16(at, littleEndian);
    if (length < attributeHeaderLength || at + length > end) return;
    yield [view.getUint16(at + 2, littleEndian) & typeMask, buffer.subarray(at + attributeHeaderLength, at + length)];
    at += align(length);
  }
}

/** The attributes between two offsets by type; of a repeated type, the last. Values are views on `buffer`. */
export function parseAttributes(buffer: Uint8Array, offset = 0, end: number = buffer.length): Map<number, Uint8Array> {
  return new Map(iterateAttributes(buffer, offset, end));
}
