import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  type IncomingHttpHeaders,
} from 'node:http2';

/** gRPC's status codes that the client tells apart. */
export const grpcCode = {
  ok: 0,
  unknown: 2,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  outOfRange: 11,
  unavailable: 14,
} as const;

/** A call that failed. */
export class GrpcError extends Error {
  readonly code: number;
  /** Whether the server cannot have acted on it: it may be sent again, here or to another. */
  readonly isUnsent: boolean;

  constructor(code: number, message: string, isUnsent = false) {
    super(message);
    this.name = 'GrpcError';
    this.code = code;
    this.isUnsent = isUnsent;
  }
}

/** Certificates, PEM. */
export interface GrpcTls {
  /** Who has to have signed the server's; those that Node trusts when absent. */
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** Told what comes on a stream. After `onEnd` there is nothing more. */
export interface GrpcStreamObserver {
  readonly onMessage: (message: Buffer) => void;
  readonly onEnd: (error: GrpcError) => void;
}

/** A stream of messages in both directions. */
export interface GrpcStream {
  send(message: Buffer): void;
  close(): void;
}

const connectMs = 2_000;
const pingEveryMs = 10_000;
const pingAnswerMs = 5_000;
/** As much may be on its way unread, so that a large answer does not wait for its acknowledgements. */
const windowBytes = 4 * 1024 * 1024;
const maxMessageBytes = 256 * 1024 * 1024;
const prefixBytes = 5;

/** One HTTP/2 connection to a gRPC server, held alive by pings. Calls on it fail when it breaks; it is not made again. */
export class GrpcConnection {
  readonly #session: ClientHttp2Session;
  readonly #pings: NodeJS.Timeout;

  private constructor(session: ClientHttp2Session) {
    this.#session = session;
    this.#pings = setInterval(() => this.#ping(), pingEveryMs);
    this.#pings.unref();
    session.on('error', () => {});
    session.on('close', () => clearInterval(this.#pings));
    // Whoever says so takes no new calls.
    session.on('goaway', () => session.close());
  }

  /** @throws GrpcError unavailable, unsent */
  static open(url: string, tls: GrpcTls | undefined): Promise<GrpcConnection> {
    return new Promise((resolve, reject) => {
      const session = connect(url, { ...tls, settings: { initialWindowSize: windowBytes, enablePush: false } });
      const fail = (problem: string) => {
        clearTimeout(timer);
        session.destroy();
        reject(new GrpcError(grpcCode.unavailable, problem, true));
      };
      const timer = setTimeout(() => fail(`no connection within ${connectMs} ms`), connectMs);
      session.once('error', (error) => fail(error.message || (error as NodeJS.ErrnoException).code || 'refused'));
      // With the server's settings, not with the socket: something that accepts and says nothing is no server.
      session.once('remoteSettings', () => {
        clearTimeout(timer);
        session.setLocalWindowSize(windowBytes);
        resolve(new GrpcConnection(session));
      });
    });
  }

  get isOpen(): boolean {
    return !this.#session.closed && !this.#session.destroyed;
  }

  /** One message there, one back. */
  call(path: string, message: Buffer, timeoutMs: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      let answer: Buffer | undefined;
      let timedOut = false;
      const stream = this.#open(path, { 'grpc-timeout': `${timeoutMs}m` });
      const timer = setTimeout(() => {
        timedOut = true;
        stream.close(constants.NGHTTP2_CANCEL);
      }, timeoutMs);
      readAnswer(stream, {
        onMessage: (received) => {
          answer = received;
        },
        onEnd: (error) => {
          clearTimeout(timer);
          if (error.code === grpcCode.ok && answer !== undefined) resolve(answer);
          else if (timedOut) reject(new GrpcError(grpcCode.deadlineExceeded, `no answer within ${timeoutMs} ms`));
          else
            reject(error.code === grpcCode.ok ? new GrpcError(grpcCode.unknown, 'an answer without content') : error);
        },
      });
      stream.end(framed(message));
    });
  }

  stream(path: string, observer: GrpcStreamObserver): GrpcStream {
    const stream = this.#open(path, {});
    readAnswer(stream, observer);
    return {
      send: (message) => {
        if (stream.writable) stream.write(framed(message));
      },
      close: () => stream.close(constants.NGHTTP2_CANCEL),
    };
  }

  /** Breaks off what is under way. */
  close(): void {
    this.#session.destroy();
  }

  #open(path: string, headers: { readonly [name: string]: string }): ClientHttp2Stream {
    if (!this.isOpen) throw new GrpcError(grpcCode.unavailable, 'the connection is closed', true);
    return this.#session.request({
      ':method': 'POST',
      ':path': path,
      'content-type': 'application/grpc',
      te: 'trailers',
      // A member cut off from the others is to say so instead of waiting for them.
      hasleader: 'true',
      ...headers,
    });
  }

  #ping(): void {
    if (!this.isOpen) return;
    const timer = setTimeout(() => this.#session.destroy(), pingAnswerMs);
    timer.unref();
    this.#session.ping(() => clearTimeout(timer));
  }
}

/** Cuts what comes into messages, and says at the end, once, how it went: code `ok` when the server said so. */
function readAnswer(stream: ClientHttp2Stream, { onMessage, onEnd }: GrpcStreamObserver): void {
  let pieces: Buffer[] = [];
  let length = 0;
  let wanted = prefixBytes;
  let status: GrpcError | undefined;
  let failure: Error | undefined;
  const read = (headers: IncomingHttpHeaders) => {
    const code = headers['grpc-status'];
    if (typeof code === 'string')
      status = new GrpcError(Number(code), decodeURIComponent(String(headers['grpc-message'] ?? '')));
    else if (headers[':status'] !== undefined && Number(headers[':status']) !== 200)
      status = new GrpcError(grpcCode.unavailable, `HTTP status ${headers[':status']}`);
  };
  stream.on('response', read);
  stream.on('trailers', read);
  stream.on('error', (error) => {
    failure = error;
  });
  stream.on('data', (chunk: Buffer) => {
    pieces.push(chunk);
    length += chunk.length;
    // Not before a whole message is there: joining what there is at every chunk would take quadratic time.
    if (length < wanted) return;
    let rest = Buffer.concat(pieces, length);
    wanted = prefixBytes;
    while (rest.length >= prefixBytes) {
      const end = prefixBytes + rest.readUInt32BE(1);
      if (end > maxMessageBytes) return void stream.destroy(new Error(`a message of ${end} bytes came`));
      wanted = end;
      if (rest.length < end) break;
      onMessage(rest.subarray(prefixBytes, end));
      rest = rest.subarray(end);
      wanted = prefixBytes;
    }
    pieces = [rest];
    length = rest.length;
  });
  stream.on('close', () => {
    const isUnsent = stream.rstCode === constants.NGHTTP2_REFUSED_STREAM;
    onEnd(status ?? new GrpcError(grpcCode.unavailable, failure?.message ?? 'the connection was lost', isUnsent));
  });
}

/** Five bytes before each message: not compressed, and its length. */
function framed(message: Buffer): Buffer {
  const bytes = Buffer.allocUnsafe(prefixBytes + message.length);
  bytes[0] = 0;
  bytes.writeUInt32BE(message.length, 1);
  message.copy(bytes, prefixBytes);
  return bytes;
}
