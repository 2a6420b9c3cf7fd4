import type { Duplex } from 'node:stream';
import { type ClientMessage, channel, readResize, type SessionStatus } from '../channels.ts';
import type { ClientChannels } from '../client-channels.ts';
import { type SpdyStream, serveSpdy } from './connection.ts';

/** What kubectl offered before it spoke WebSocket, and client-go's SPDY executor still does: it tells how it ended by a Status. */
export const spdySessionProtocol = 'v4.channel.k8s.io';

/** A client opens its streams at once. */
const openMs = 30_000;
/** Whoever has everything closes the connection. */
const closeMs = 10_000;
const maxLineBytes = 1024;

type ChannelName = Exclude<keyof typeof channel, 'close'>;

/**
 * The channels of a client that opens a stream for each: those named, and no others. `undefined`: it did not in time, or
 * broke off, and the connection is gone.
 */
export async function openSpdyChannels(
  transport: Duplex,
  names: readonly ChannelName[],
): Promise<ClientChannels | undefined> {
  const streams = new Map<number, SpdyStream>();
  const channels = new SpdyChannels(transport, streams);
  const isWhole = new Promise<boolean>((resolve) => {
    const timer = setTimeout(() => transport.destroy(), openMs);
    const settle = (whole: boolean) => {
      clearTimeout(timer);
      resolve(whole);
    };
    const onStream = (stream: SpdyStream) => {
      const name = names.find((each) => each === stream.headers.get('streamtype'));
      if (name === undefined || streams.has(channel[name])) return stream.reset();
      streams.set(channel[name], stream);
      channels.take(channel[name], stream);
      if (streams.size === names.length) settle(true);
    };
    // What is no SPDY ends the connection; there is nobody to tell.
    serveSpdy(transport, onStream, { pings: true })
      .catch(() => {})
      .finally(() => {
        channels.end();
        settle(false);
      });
  });
  return (await isWhole) ? channels : undefined;
}

class SpdyChannels implements ClientChannels {
  readonly closed: Promise<void>;
  readonly #transport: Duplex;
  readonly #streams: ReadonlyMap<number, SpdyStream>;
  #onMessage: (message: ClientMessage) => void = () => {};
  /** What the client says waits for this one. */
  #heldUp: Promise<void>;
  #goOn: () => void = () => {};
  /** Resolves when there is somebody to tell what the client says. */
  readonly #heard: Promise<void>;
  #beHeard: () => void = () => {};
  #tellClosed: () => void = () => {};

  constructor(transport: Duplex, streams: ReadonlyMap<number, SpdyStream>) {
    this.#transport = transport;
    this.#streams = streams;
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#heard = new Promise((resolve) => {
      this.#beHeard = resolve;
    });
    this.#heldUp = this.#hold();
  }

  get isOpen(): boolean {
    return !this.#transport.destroyed;
  }

  /** A stream that the client has opened for a channel. */
  take(number: number, stream: SpdyStream): void {
    if (number === channel.stdin) {
      stream.onData = async (data) => {
        await this.#heldUp;
        this.#onMessage({ type: 'stdin', data });
      };
      stream.onEnd = () => void this.#heldUp.then(() => this.#onMessage({ type: 'stdinEnd' }));
    } else if (number === channel.resize) {
      let rest = '';
      stream.onData = async (data) => {
        const lines = (rest + data).split('\n');
        rest = (lines.pop() ?? '').slice(0, maxLineBytes);
        // A size is worth telling also while input is held up, but to nobody yet it would be lost.
        await this.#heard;
        for (const size of lines.flatMap((line) => readResize(Buffer.from(line)) ?? [])) this.#onMessage(size);
      };
    }
  }

  end(): void {
    this.#tellClosed();
  }

  listen(onMessage: (message: ClientMessage) => void): void {
    this.#onMessage = onMessage;
    this.#beHeard();
    this.resume();
  }

  pause(): void {
    this.#heldUp = this.#hold();
  }

  resume(): void {
    this.#goOn();
  }

  send(number: number, data: Buffer, sent = () => {}): void {
    const stream = this.#streams.get(number);
    if (stream === undefined) sent();
    else stream.send(data).then(sent, sent);
  }

  sendStatus(status: SessionStatus): void {
    this.send(channel.error, Buffer.from(JSON.stringify(status)));
  }

  close(): void {
    this.resume();
    for (const number of [channel.stdout, channel.stderr, channel.error]) this.#streams.get(number)?.end();
    const timer = setTimeout(() => this.terminate(), closeMs);
    void this.closed.then(() => clearTimeout(timer));
  }

  terminate(): void {
    this.#transport.destroy();
  }

  /** From now on until `#goOn`; who was held up before is let go with it. */
  #hold(): Promise<void> {
    const before = this.#goOn;
    return new Promise((resolve) => {
      this.#goOn = () => {
        before();
        resolve();
      };
    });
  }
}
