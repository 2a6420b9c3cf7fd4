import { littleEndian } from './attributes.ts';

/**
 * Readers of attribute values. Each takes `undefined` for an attribute that is not there and gives `undefined` then,
 * and for a value too short for its type.
 */
type Value = Uint8Array | undefined;

function view(value: Value, width: number): DataView | undefined {
  if (value === undefined || value.length < width) return undefined;
  return new DataView(value.buffer, value.byteOffset, value.byteLength);
}

/** An 8-bit integer. */
export function readU8(value: Value): number | undefined {
  return value?.[0];
}

/** A 16-bit integer in host order. */
export function readU16(value: Value): number | undefined {
  return view(value, 2)?.getUint16(0, littleEndian);
}

/** A 32-bit integer in host order. */
export function readU32(value: Value): number | undefined {
  return view(value, 4)?.getUint32(0, littleEndian);
}

/** A 64-bit integer in host order. */
export function readU64(value: Value): bigint | undefined {
  return view(value, 8)?.getBigUint64(0, littleEndian);
}

/** A 16-bit integer in network order. */
export function readBe16(value: Value): number | undefined {
  return view(value, 2)?.getUint16(0);
}

/** A 32-bit integer in network order. */
export function readBe32(value: Value): number | undefined {
  return view(value, 4)?.getUint32(0);
}

/** A 64-bit integer in network order. */
export function readBe64(value: Value): bigint | undefined {
  return view(value, 8)?.getBigUint64(0);
}

/** Text up to its NUL, or to the end when there is none. */
export function readText(value: Value): string | undefined {
  if (value === undefined) return undefined;
  const end = value.indexOf(0);
  return decoder.decode(end === -1 ? value : value.subarray(0, end));
}
const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
