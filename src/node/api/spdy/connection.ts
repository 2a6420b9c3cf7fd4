import type { Duplex } from 'node:stream';
import { controlFrame, dataFrame, type Frame, FrameReader, flagFin, frameType } from './frames.ts';
import { HeaderCompression, headerBlock, readHeaderBlock } from './headers.ts';

/** The largest payload that a frame's length can say is taken: clients send 32 KiB at a time. */
const maxFrameBytes = 0xffffff;
const maxStreams = 1024;
/** Data waiting for one stream's reader beyond this holds up the whole connection, which is all that can be done. */
const maxWaitingBytes = 1 << 20;
const maxDataBytes = 32 << 10;
const pingMs = 15_000;

/** One stream of a connection, as the other side opened it. */
export interface SpdyStream {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  /** Sends after all that was to be sent before. Resolves when the connection can take more. */
  send(data: Buffer): Promise<void>;
  /** Says, after all that was to be sent, that nothing more comes from this side. */
  end(): void;
  /** Ends the stream in both directions. */
  reset(): void;
  /** What comes from the other side; the promise says when the next piece may come. One listener, set at once. */
  onData: (data: Buffer) => Promise<void> | undefined;
  /** The other side sends nothing more. */
  onEnd: () => void;
  /** The stream was cut off, or the connection was. Not called after `reset`. */
  onCut: () => void;
}

/** How a connection is served. */
export interface SpdyOptions {
  /** Whether it is looked after that the client is still there: not needed where the transport does. */
  readonly pings?: boolean;
}

/**
 * The server's side of SPDY/3.1 as Kubernetes uses it: the client opens streams, both send, both end. Windows are not
 * kept, as the clients there are keep none either; what flows too fast is held up by the transport.
 *
 * Resolves when the transport has ended. Rejects with what was wrong with the client's bytes.
 */
export async function serveSpdy(
  transport: Duplex,
  onStream: (stream: SpdyStream) => void,
  { pings = false }: SpdyOptions = {},
): Promise<void> {
  const connection = new Connection(transport, onStream);
  const watch = pings ? setInterval(() => connection.ping(), pingMs) : undefined;
  try {
    const frames = new FrameReader(maxFrameBytes);
    for await (const bytes of transport) {
      connection.hears(false);
      for (const frame of frames.push(bytes as Buffer)) await connection.take(frame);
      connection.hears(true);
    }
  } finally {
    clearInterval(watch);
    connection.close();
  }
}

class Connection {
  readonly #transport: Duplex;
  readonly #onStream: (stream: SpdyStream) => void;
  readonly #compression = new HeaderCompression();
  readonly #streams = new Map<number, Stream>();
  /** Pings since something was heard. */
  #unanswered = 0;
  #hears = true;
  /** Those of a server have even numbers. */
  #pings = 0;

  constructor(transport: Duplex, onStream: (stream: SpdyStream) => void) {
    this.#transport = transport;
    this.#onStream = onStream;
  }

  /** Something has come; whether more is read, or what has come holds the rest up. */
  hears(more: boolean): void {
    this.#unanswered = 0;
    this.#hears = more;
  }

  /** Asks whether the client is there. One that has said nothing since it was asked is not. */
  ping(): void {
    if (this.#unanswered > 0 && this.#hears) {
      this.#transport.destroy();
      return;
    }
    this.#unanswered++;
    this.#pings += 2;
    this.write(controlFrame(frameType.ping, streamId(this.#pings)));
  }

  async take(frame: Frame): Promise<void> {
    if (frame.kind === 'data') {
      const stream = this.#streams.get(frame.stream);
      if (stream === undefined) return;
      await stream.receive(frame.payload);
      if ((frame.flags & flagFin) !== 0) stream.receiveEnd();
      return;
    }
    const { payload } = frame;
    switch (frame.type) {
      case frameType.synStream:
        return this.#open(payload, (frame.flags & flagFin) !== 0);
      case frameType.rstStream:
        this.#streams.get(payload.readUInt32BE(0))?.cut();
        return;
      case frameType.ping:
        // A client numbers its own by odd numbers and expects them back.
        if (payload.readUInt32BE(0) % 2 === 1) this.write(controlFrame(frameType.ping, payload));
        return;
      default:
    }
  }

  async #open(payload: Buffer, ended: boolean): Promise<void> {
    const id = payload.readUInt32BE(0) & 0x7fffffff;
    // The compression goes on from block to block, so that also the headers of a stream that is refused are read.
    const headers = readHeaderBlock(await this.#compression.decompress(payload.subarray(10)));
    if (this.#streams.size >= maxStreams || this.#streams.has(id)) return this.#refuse(id);
    const stream = new Stream(id, headers, this, ended);
    this.#streams.set(id, stream);
    const reply = await this.#compression.compress(headerBlock(new Map()));
    this.write(controlFrame(frameType.synReply, Buffer.concat([streamId(id), reply])));
    this.#onStream(stream);
    if (ended) stream.onEnd();
  }

  #refuse(id: number): void {
    this.write(controlFrame(frameType.rstStream, Buffer.concat([streamId(id), streamId(refusedStream)])));
  }

  /** Whether the transport would rather have no more for now. */
  write(bytes: Buffer): boolean {
    return this.#transport.writable && !this.#transport.write(bytes);
  }

  /** Resolves when the transport can take more, or will never again. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#transport.off('drain', done);
        this.#transport.off('close', done);
        resolve();
      };
      this.#transport.once('drain', done);
      this.#transport.once('close', done);
    });
  }

  forget(id: number): void {
    this.#streams.delete(id);
  }

  close(): void {
    for (const stream of [...this.#streams.values()]) stream.cut();
    this.#compression.close();
    this.#transport.destroy();
  }
}

const refusedStream = 3;
const cancel = 5;

function streamId(id: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(id);
  return bytes;
}

class Stream implements SpdyStream {
  readonly id: number;
  readonly headers: ReadonlyMap<string, string>;
  onData: SpdyStream['onData'] = () => undefined;
  onEnd = () => {};
  onCut = () => {};
  readonly #connection: Connection;
  #waitingBytes = 0;
  #delivered: Promise<void> = Promise.resolve();
  #sending: Promise<void> = Promise.resolve();
  #sends = true;
  #receives: boolean;

  constructor(id: number, headers: ReadonlyMap<string, string>, connection: Connection, ended: boolean) {
    this.id = id;
    this.headers = headers;
    this.#connection = connection;
    this.#receives = !ended;
  }

  /** Delivers in order. Resolves at once while little waits, and else when the reader has taken it. */
  async receive(data: Buffer): Promise<void> {
    if (!this.#receives || data.length === 0) return;
    this.#waitingBytes += data.length;
    this.#delivered = this.#delivered.then(async () => {
      await this.onData(data);
      this.#waitingBytes -= data.length;
    });
    if (this.#waitingBytes > maxWaitingBytes) await this.#delivered;
  }

  receiveEnd(): void {
    if (!this.#receives) return;
    this.#receives = false;
    void this.#delivered.then(() => this.onEnd());
    this.#forgetIfDone();
  }

  send(data: Buffer): Promise<void> {
    this.#sending = this.#sending.then(() => this.#write(data));
    return this.#sending;
  }

  end(): void {
    this.#sending = this.#sending.then(() => this.#writeEnd());
  }

  reset(): void {
    if (!this.#sends && !this.#receives) return;
    this.#connection.write(controlFrame(frameType.rstStream, Buffer.concat([streamId(this.id), streamId(cancel)])));
    this.#sends = false;
    this.#receives = false;
    this.#connection.forget(this.id);
  }

  cut(): void {
    if (!this.#sends && !this.#receives) return;
    this.#sends = false;
    this.#receives = false;
    this.#connection.forget(this.id);
    this.onCut();
  }

  async #write(data: Buffer): Promise<void> {
    for (let at = 0; at < data.length && this.#sends; at += maxDataBytes) {
      const full = this.#connection.write(dataFrame(this.id, data.subarray(at, at + maxDataBytes)));
      if (full) await this.#connection.drained();
    }
  }

  #writeEnd(): void {
    if (!this.#sends) return;
    this.#sends = false;
    this.#connection.write(dataFrame(this.id, Buffer.alloc(0), flagFin));
    this.#forgetIfDone();
  }

  #forgetIfDone(): void {
    if (!this.#sends && !this.#receives) this.#connection.forget(this.id);
  }
}
