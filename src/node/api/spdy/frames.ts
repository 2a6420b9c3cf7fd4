const version = 3;
const headBytes = 8;

/** Types of control frames (SPDY protocol draft 3.1, 2.6). */
export const frameType = { synStream: 1, synReply: 2, rstStream: 3, ping: 6, goAway: 7 } as const;

/** Flag of a frame after which its sender sends nothing more on the stream. */
export const flagFin = 1;

/** A frame as it stands on the wire. The payload of a control frame begins with what its type says. */
export type Frame =
  | { readonly kind: 'data'; readonly stream: number; readonly flags: number; readonly payload: Buffer }
  | { readonly kind: 'control'; readonly type: number; readonly flags: number; readonly payload: Buffer };

/** The bytes of a data frame. */
export function dataFrame(stream: number, payload: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt32BE(stream, 0);
  head.writeUInt32BE(((flags << 24) | payload.length) >>> 0, 4);
  return Buffer.concat([head, payload]);
}

/** The bytes of a control frame. */
export function controlFrame(type: number, payload: Uint8Array, flags = 0): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt16BE(0x8000 | version, 0);
  head.writeUInt16BE(type, 2);
  head.writeUInt32BE(((flags << 24) | payload.length) >>> 0, 4);
  return Buffer.concat([head, payload]);
}

/** Cuts a stream of bytes into frames. */
export class FrameReader {
  readonly #maxBytes: number;
  #rest: Buffer = Buffer.alloc(0);

  /** @param maxBytes of a frame's payload */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * The frames that are whole with these bytes.
   * @throws RangeError when a frame is too large or of another version
   */
  push(bytes: Buffer): Frame[] {
    let rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    const frames: Frame[] = [];
    while (rest.length >= headBytes) {
      const word = rest.readUInt32BE(4);
      const end = headBytes + (word & 0xffffff);
      if (end - headBytes > this.#maxBytes) throw new RangeError(`a SPDY frame of ${end - headBytes} bytes`);
      if (rest.length < end) break;
      frames.push(readFrame(rest, word >>> 24, rest.subarray(headBytes, end)));
      rest = rest.subarray(end);
    }
    // A copy, so that a few bytes do not hold on to what they came with.
    this.#rest = Buffer.from(rest);
    return frames;
  }
}

function readFrame(head: Buffer, flags: number, payload: Buffer): Frame {
  const first = head.readUInt32BE(0);
  if (first < 0x80000000) return { kind: 'data', stream: first, flags, payload };
  if (((first >>> 16) & 0x7fff) !== version) throw new RangeError(`SPDY version ${(first >>> 16) & 0x7fff}`);
  return { kind: 'control', type: first & 0xffff, flags, payload };
}
