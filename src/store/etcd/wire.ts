/** How protobuf puts a field's value on the wire; the two fixed-size types do not occur in etcd's messages. */
const wireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const;

/**
 * Writes a protobuf message field by field. What has its zero value is left out, as proto3 wants. Whole numbers are
 * those that JavaScript holds exactly, from 0 to 2^53.
 */
export class MessageWriter {
  readonly #parts: Uint8Array[] = [];
  #length = 0;

  integer(field: number, value: number): this {
    return value === 0 ? this : this.#add(varint(field * 8 + wireType.varint), varint(value));
  }

  /** Zero, written. */
  zero(field: number): this {
    return this.#add(varint(field * 8 + wireType.varint), varint(0));
  }

  boolean(field: number, value: boolean): this {
    return this.integer(field, value ? 1 : 0);
  }

  bytes(field: number, value: Uint8Array): this {
    return value.length === 0 ? this : this.#lengthDelimited(field, value);
  }

  /** Written even when it is empty: that it is there says something. */
  message(field: number, value: MessageWriter): this {
    return this.#lengthDelimited(field, value.finish());
  }

  finish(): Buffer {
    return Buffer.concat(this.#parts, this.#length);
  }

  #lengthDelimited(field: number, value: Uint8Array): this {
    return this.#add(varint(field * 8 + wireType.bytes), varint(value.length), value);
  }

  #add(...parts: Uint8Array[]): this {
    for (const part of parts) {
      this.#parts.push(part);
      this.#length += part.length;
    }
    return this;
  }
}

/** One field of a message as it came: its number, and its value. */
export type MessageField =
  | { readonly field: number; readonly integer: number; readonly bytes?: undefined }
  | { readonly field: number; readonly bytes: Buffer; readonly integer?: undefined };

/**
 * The fields of a protobuf message, in order; bytes share the memory of `message`. Fields of fixed size are passed over.
 * @throws RangeError when the message is cut off or malformed
 */
export function* readMessage(message: Buffer): Generator<MessageField> {
  let at = 0;
  const next = () => {
    const read = readVarint(message, at);
    at = read.end;
    return read.value;
  };
  while (at < message.length) {
    const tag = next();
    const field = Math.floor(tag / 8);
    const type = tag % 8;
    if (type === wireType.varint) yield { field, integer: next() };
    else if (type === wireType.bytes) {
      const length = next();
      if (at + length > message.length) throw new RangeError('a protobuf message is cut off');
      yield { field, bytes: message.subarray(at, at + length) };
      at += length;
    } else if (type === wireType.fixed64) at += 8;
    else if (type === wireType.fixed32) at += 4;
    else throw new RangeError(`a protobuf message has a field of unknown type ${type}`);
  }
}

function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    // Not by shifting, which ends at 32 bits.
    rest = Math.floor(rest / 0x80);
  }
  bytes.push(rest);
  return Buffer.from(bytes);
}

function readVarint(message: Buffer, start: number): { value: number; end: number } {
  let value = 0;
  let scale = 1;
  for (let at = start; at < start + 10; at++) {
    const byte = message[at];
    if (byte === undefined) throw new RangeError('a protobuf message is cut off');
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return { value, end: at + 1 };
    scale *= 0x80;
  }
  throw new RangeError('a protobuf message has a number of more than 64 bits');
}
