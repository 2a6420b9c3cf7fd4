import { connect, type Socket } from 'node:net';
import { connect as connectSecurely, type SecureContextOptions } from 'node:tls';
import type { Response } from '../wire/response.ts';
import type { ServerAddress } from './address.ts';
import { type AskOptions, type Question, randomId, readAnswer, writeQuestion } from './question.ts';

/** What a server's certificate is checked by. */
export interface StreamTls extends SecureContextOptions {
  /** Without it the certificate must name the server's address. */
  readonly serverName: string | undefined;
}

/** How connections to one server are made. */
export interface StreamOptions {
  readonly server: ServerAddress;
  /** Absent for TCP in the clear. */
  readonly tls: StreamTls | undefined;
  /** How long a connection may be idle before it is closed, in milliseconds. */
  readonly expireMs: number;
  /** Told of each question, whether its connection was open already. */
  readonly onUse: (isReused: boolean) => void;
}

/** Connections kept for later; what is beyond is closed after its question. */
const maxIdle = 32;

/**
 * Asks one server over TCP (RFC 7766) or TLS (RFC 7858). A connection carries one question at a time and is kept for the
 * next; TLS sessions are taken up again.
 */
export class StreamExchange {
  readonly #options: StreamOptions;
  readonly #open = new Set<StreamConnection>();
  readonly #idle: StreamConnection[] = [];
  #session: Buffer | undefined;

  constructor(options: StreamOptions) {
    this.#options = options;
  }

  /** Rejects when no answer comes in time, or not to this question. */
  async ask(question: Question, { timeoutMs, edns }: AskOptions): Promise<Response> {
    const deadline = performance.now() + timeoutMs;
    for (let idle = this.#idle.pop(); idle !== undefined; idle = this.#idle.pop()) {
      try {
        return await this.#use(idle, question, { timeoutMs: deadline - performance.now(), edns });
      } catch (error) {
        // The server may have closed it just now, as it may at any time: that says nothing about the question. That the
        // time is over the timer says, which may be a little before the clock.
        if (error instanceof TimeOver || performance.now() >= deadline) throw error;
      }
    }
    return await this.#use(this.#connect(), question, { timeoutMs: deadline - performance.now(), edns });
  }

  /** Fails what is under way. */
  close(): void {
    for (const connection of this.#open) connection.close();
  }

  async #use(connection: StreamConnection, question: Question, options: AskOptions): Promise<Response> {
    this.#options.onUse(connection.isUsed);
    const response = await connection.ask(question, options);
    if (this.#idle.length < maxIdle) {
      this.#idle.push(connection);
      connection.expireAfter(this.#options.expireMs);
    } else connection.close();
    return response;
  }

  #connect(): StreamConnection {
    const connection = new StreamConnection(this.#socket());
    this.#open.add(connection);
    connection.onClose = () => {
      this.#open.delete(connection);
      const at = this.#idle.indexOf(connection);
      if (at >= 0) this.#idle.splice(at, 1);
    };
    return connection;
  }

  #socket(): Socket {
    const { server, tls } = this.#options;
    if (tls === undefined) return connect({ port: server.port, host: server.ip, noDelay: true });
    const { serverName, ...context } = tls;
    const socket = connectSecurely({
      ...context,
      port: server.port,
      host: server.ip,
      // An address is no server name in a handshake (RFC 6066 §3).
      servername: serverName ?? '',
      ALPNProtocols: ['dot'],
      minVersion: 'TLSv1.2',
      ...(this.#session === undefined ? {} : { session: this.#session }),
    });
    socket.on('session', (session) => {
      this.#session = session;
    });
    return socket;
  }
}

/** No answer came in time. */
class TimeOver extends Error {
  constructor() {
    super('i/o timeout');
  }
}

/** One connection, with at most one question under way. */
class StreamConnection {
  readonly #socket: Socket;
  #received: Buffer = Buffer.alloc(0);
  #onMessage: ((message: Buffer) => void) | undefined;
  #onEnd: ((error: Error) => void) | undefined;
  #problem: Error | undefined;
  isUsed = false;
  onClose: () => void = () => undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('error', (error) => {
      this.#problem = error;
    });
    socket.on('close', () => {
      this.onClose();
      this.#onEnd?.(this.#problem ?? new Error('the connection was closed'));
    });
    socket.on('timeout', () => socket.destroy());
    socket.on('data', (chunk) => this.#receive(chunk));
  }

  ask(question: Question, { timeoutMs, edns }: AskOptions): Promise<Response> {
    this.isUsed = true;
    this.#socket.setTimeout(0);
    return new Promise((resolve, reject) => {
      const id = randomId();
      const end = (result: Response | Error) => {
        clearTimeout(timer);
        this.#onMessage = undefined;
        this.#onEnd = undefined;
        if (!(result instanceof Error)) resolve(result);
        else {
          // An answer that is late would be taken for the next question's.
          this.#socket.destroy();
          reject(result);
        }
      };
      const timer = setTimeout(() => end(new TimeOver()), timeoutMs);
      this.#onEnd = end;
      this.#onMessage = (message) => {
        const response = readAnswer(message, question);
        end(response?.id === id ? response : new Error('the answer was malformed'));
      };
      const message = writeQuestion(question, id, edns);
      const framed = Buffer.alloc(2 + message.length);
      framed.writeUInt16BE(message.length);
      message.copy(framed, 2);
      if (this.#socket.destroyed) end(this.#problem ?? new Error('the connection was closed'));
      else this.#socket.write(framed);
    });
  }

  /** Closes when nobody has asked anything for so long. */
  expireAfter(ms: number): void {
    this.#socket.setTimeout(ms);
  }

  close(): void {
    this.#socket.destroy();
  }

  #receive(chunk: Buffer): void {
    // Nobody asked: a server that talks unasked is not listened to again.
    if (this.#onMessage === undefined) {
      this.#socket.destroy();
      return;
    }
    const received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    const length = received.length < 2 ? 0 : 2 + received.readUInt16BE(0);
    if (length === 0 || received.length < length) {
      this.#received = received;
      return;
    }
    this.#received = Buffer.alloc(0);
    const onMessage = this.#onMessage;
    // More than was asked for is nobody's answer.
    if (received.length > length) this.#socket.destroy();
    // A copy: what is kept of the answer must not keep the socket's memory.
    onMessage(Buffer.from(received.subarray(2, length)));
  }
}
