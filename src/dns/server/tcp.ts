import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { createServer as createSecureServer, type TlsOptions } from 'node:tls';
import type { Logger } from '../../component/log.ts';
import { portTaken } from '../../component/port-taken.ts';
import { type BindSocket, bindSocket } from '../../kernel/bound-sockets.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import { formatServerAddress, type ServerAddress } from '../forward/address.ts';
import type { Client } from '../metrics.ts';
import type { ServerTls } from '../tls-files.ts';
import { headerLength } from '../wire/constants.ts';
import { Places } from './places.ts';
import type { Listener } from './udp.ts';

/** Bounds of connections; times in milliseconds. */
export interface TcpLimits {
  /** Those of whom one has to go for the next who comes: see `Places`. */
  readonly connections: number;
  /** How long a client may take from one whole query to the next. A part of a query does not extend it. */
  readonly idleMs: number;
  /** Queries of one connection that wait for their answers; it is not read from while there are so many. */
  readonly pipelined: number;
}

/** What RFC 7766 §6.2.3 calls a few seconds, and as many clients as a node has Pods, many times over. */
export const defaultTcpLimits: TcpLimits = { connections: 1000, idleMs: 10_000, pipelined: 100 };

/** Octets of answers a client may leave unread before its connection is cut. */
const maxUnread = 1 << 20;
/** Octets of a query. One name, an OPT record with its options and a signature are far below. */
const maxQuery = 4096;
/** Sockets beyond the bound of connections: those of clients that shake hands, and of those that are just going. */
const maxUnseated = 100;
/** Time for the last answers when the server ends, in milliseconds. */
const finishMs = 1000;

/** What a connection is served with. */
interface Service {
  readonly responder: Responder;
  readonly limits: TcpLimits;
  readonly log: Logger;
  /** For DNS over TLS; absent for TCP in the clear. */
  readonly tls?: ServerTls | undefined;
}

/** A listener whose certificate can be changed while it serves. */
export interface StreamListener extends Listener {
  /** Shows another certificate from now on, to clients that come. Nothing changes in the clear. */
  secure(tls: ServerTls): void;
}

/**
 * Serves DNS over TCP (RFC 7766), or over TLS (RFC 7858). Port 0 takes a free one.
 * @throws SignalboxError `PORT_TAKEN`
 */
export async function listenTcp(
  address: ServerAddress,
  { bind = bindSocket, ...service }: Service & { readonly bind?: BindSocket },
): Promise<StreamListener> {
  try {
    return await serveTcp(bind('tcp', address.ip, address.port), address.ip, service);
  } catch (cause) {
    throw portTaken(`${formatServerAddress(address)} TCP`, cause);
  }
}

/** Serves DNS at a socket that is bound, and listens; it is the listener's from now on. */
export async function serveTcp(fd: number, ip: Ip, service: Service): Promise<StreamListener> {
  const family = familyOf(ip);
  const connections = new Places<Connection>(service.limits.connections);
  const sockets = new Set<Socket>();
  const { server, secure } = serverOf(service, (socket) => {
    const { remoteAddress: from = '', remotePort = 0 } = socket;
    const client = { transport: 'tcp' as const, family, address: from, port: remotePort };
    const connection = new Connection(socket, client, service);
    connections.enter(connection);
    socket.on('close', () => connections.leave(connection));
  });
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
  });
  server.maxConnections = service.limits.connections + maxUnseated;
  server.listen({ fd });
  await once(server, 'listening');
  server.on('error', (err) => service.log.warn({ err }, 'tcp socket'));
  const bound = server.address();
  return {
    address: { ip, port: typeof bound === 'object' ? (bound?.port ?? 0) : 0 },
    sockets: [{ type: 'tcp', ip, fd }],
    secure,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const connection of connections) connection.finish();
        // Among them are those whose handshake has not ended, which have no connection yet.
        setTimeout(() => sockets.forEach((socket) => void socket.destroy()), finishMs).unref();
      }),
  };
}

function serverOf(
  { tls, limits, log }: Service,
  onConnection: (socket: Socket) => void,
): { readonly server: Server; readonly secure: (tls: ServerTls) => void } {
  const options = { noDelay: true, allowHalfOpen: true };
  if (tls === undefined) return { server: createServer(options, onConnection), secure: () => undefined };
  const server = createSecureServer({ ...options, ...secured(tls), handshakeTimeout: limits.idleMs }, onConnection);
  server.on('tlsClientError', (err, socket) => {
    log.debug({ err }, 'tls handshake');
    // One that took too long is told of and left open.
    socket.destroy();
  });
  const secure = (other: ServerTls) => {
    const changed = secured(other);
    server.setSecureContext(changed);
    // Whether clients must show a certificate is no part of the context, but of the server itself.
    Object.assign(server, { requestCert: changed.requestCert, rejectUnauthorized: changed.rejectUnauthorized });
  };
  return { server, secure };
}

function secured(tls: ServerTls): ServerTls & TlsOptions {
  return { ...tls, rejectUnauthorized: tls.requestCert, ALPNProtocols: ['dot'], minVersion: 'TLSv1.2' };
}

/** One client's connection: queries in, answers out as they come, in any order. */
class Connection {
  readonly #socket: Socket;
  readonly #client: Client;
  readonly #service: Service;
  readonly #deadline: NodeJS.Timeout;
  readonly #streams = new Set<Generator<Buffer, void>>();
  #received: Buffer = Buffer.alloc(0);
  #waiting = 0;
  #isFull = false;
  #isFinishing = false;

  constructor(socket: Socket, client: Client, service: Service) {
    this.#socket = socket;
    this.#client = { ...client, stream: (messages) => this.#stream(messages) };
    this.#service = service;
    this.#deadline = setTimeout(() => this.#expire(), service.limits.idleMs);
    socket.on('error', (err) => service.log.debug({ err }, 'tcp connection'));
    socket.on('close', () => {
      clearTimeout(this.#deadline);
      for (const messages of this.#streams) messages.return();
    });
    socket.on('end', () => this.#takeNoMore());
    socket.on('data', (chunk) => {
      this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
      this.#takeQueries();
    });
  }

  get address(): string {
    return this.#client.address;
  }

  /** Whether it is owed no answer; part of a query deserves none. */
  get isIdle(): boolean {
    return this.#waiting === 0;
  }

  cut(): void {
    this.#socket.destroy();
  }

  /** Lets answers under way go out, for a short time, and takes no more queries. */
  finish(): void {
    this.#takeNoMore();
    setTimeout(() => this.#socket.destroy(), finishMs).unref();
  }

  /** Ends when all answers are out. A client that has closed its side may still be waiting for them. */
  #takeNoMore(): void {
    this.#isFinishing = true;
    this.#socket.pause();
    if (this.#waiting === 0) this.#socket.end();
  }

  #expire(): void {
    // While we owe answers, it is not the client who keeps us waiting.
    if (this.#waiting > 0) this.#deadline.refresh();
    else this.#socket.destroy();
  }

  #takeQueries(): void {
    while (!this.#isFull && !this.#isFinishing && !this.#socket.destroyed && this.#received.length >= 2) {
      const length = this.#received.readUInt16BE(0);
      if (length < headerLength || length > maxQuery) {
        this.#socket.destroy();
        return;
      }
      if (this.#received.length < 2 + length) return;
      const packet = this.#received.subarray(2, 2 + length);
      this.#received = this.#received.subarray(2 + length);
      this.#deadline.refresh();
      this.#takeQuery(packet);
    }
  }

  #takeQuery(packet: Buffer): void {
    this.#waiting++;
    // What deserves no answer over UDP deserves no connection here.
    if (!this.#service.responder.answer(packet, this.#client, (reply) => this.#send(reply))) this.#socket.destroy();
    if (this.#waiting < this.#service.limits.pipelined) return;
    this.#isFull = true;
    this.#socket.pause();
  }

  #send(reply: Buffer): void {
    this.#write(reply);
    if (this.#socket.writableLength > maxUnread) this.#socket.destroy();
    this.#answered();
  }

  #write(reply: Buffer): void {
    if (this.#socket.destroyed) return;
    const framed = Buffer.allocUnsafe(2 + reply.length);
    framed.writeUInt16BE(reply.length);
    reply.copy(framed, 2);
    this.#socket.write(framed);
  }

  #answered(): void {
    this.#waiting--;
    if (this.#socket.destroyed) return;
    if (this.#isFinishing && this.#waiting === 0) this.#socket.end();
    if (this.#isFull && !this.#isFinishing) {
      this.#isFull = false;
      this.#socket.resume();
      this.#takeQueries();
    }
  }

  /** One message at a time: others' queries are answered in between, and nothing piles up for a client that is slow. */
  #stream(messages: Generator<Buffer, void>): void {
    this.#streams.add(messages);
    const next = () => {
      if (this.#socket.destroyed) return;
      const { done, value } = messages.next();
      if (done === true) {
        this.#streams.delete(messages);
        this.#answered();
        return;
      }
      this.#write(value);
      if (this.#socket.writableNeedDrain) this.#onceDrained(next);
      else setImmediate(next);
    };
    next();
  }

  #onceDrained(next: () => void): void {
    const stalled = setTimeout(() => this.#socket.destroy(), this.#service.limits.idleMs).unref();
    this.#socket.once('drain', () => {
      clearTimeout(stalled);
      next();
    });
  }
}
