import { constants, createDeflate, createInflate, type Deflate, type Inflate } from 'node:zlib';
import { headerDictionary } from './dictionary.ts';

/** A block of headers is a few short names and values; more than this is an attack. */
const maxBlockBytes = 64 << 10;

/** Names and values as a header block holds them: number of pairs, then each text after its length. */
export function headerBlock(headers: ReadonlyMap<string, string>): Buffer {
  const texts = [...headers].flat().map((text) => Buffer.from(text));
  return Buffer.concat([word(headers.size), ...texts.flatMap((text) => [word(text.length), text])]);
}

/**
 * Reads a header block.
 * @throws RangeError when it ends too early
 */
export function readHeaderBlock(block: Buffer): Map<string, string> {
  const headers = new Map<string, string>();
  let at = 4;
  const text = () => {
    const length = block.readUInt32BE(at);
    at += 4 + length;
    if (at > block.length) throw new RangeError('a header is longer than its block');
    return block.toString('utf8', at - length, at);
  };
  for (let left = block.readUInt32BE(0); left > 0; left--) {
    const name = text();
    headers.set(name, text());
  }
  return headers;
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Both directions of header compression of one connection: each block goes on from those before it. */
export class HeaderCompression {
  readonly #deflate: Deflate = createDeflate({ dictionary: headerDictionary });
  readonly #inflate: Inflate = createInflate({ dictionary: headerDictionary });

  /** One call at a time. */
  compress(block: Buffer): Promise<Buffer> {
    return collect(this.#deflate, (done) => {
      this.#deflate.write(block);
      this.#deflate.flush(constants.Z_SYNC_FLUSH, () => done());
    });
  }

  /**
   * One call at a time.
   * @throws RangeError when the block is too large; the error of zlib when it is none
   */
  decompress(bytes: Buffer): Promise<Buffer> {
    return collect(this.#inflate, (done) => this.#inflate.write(bytes, done));
  }

  close(): void {
    this.#deflate.close();
    this.#inflate.close();
  }
}

function collect(stream: Deflate | Inflate, feed: (done: (error?: Error | null) => void) => void): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let size = 0;
    const take = (piece: Buffer) => {
      size += piece.length;
      pieces.push(piece);
      if (size > maxBlockBytes) end(new RangeError('a block of headers is too large'));
    };
    const end = (error?: Error | null) => {
      stream.off('data', take);
      stream.off('error', end);
      // Whatever still comes of a stream that failed is nobody's.
      if (error) {
        stream.on('error', () => {});
        stream.destroy();
        reject(error);
      } else resolve(Buffer.concat(pieces));
    };
    stream.on('data', take);
    stream.once('error', end);
    feed(end);
  });
}
