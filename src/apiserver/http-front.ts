import { type IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { SignalboxError } from '../errors/error.ts';
import type { ApiHandler } from './api-handler.ts';
import type { Authenticator } from './authentication.ts';
import type { ApiServerConfig, Listen } from './config.ts';
import {
  answerMalformed,
  hasBody,
  limitArrival,
  readTarget,
  receiveBody,
  sendAnswer,
  sendStatus,
} from './http-messages.ts';
import { InFlight } from './in-flight.ts';
import { readResourceRequest } from './request-info.ts';
import { type ApiAnswer, type ApiRequest, streamed } from './requests.ts';
import { internalError, StatusError, tooManyRequests, unavailable } from './status.ts';
import type { User } from './user.ts';

const stopMs = 5_000;
const idleSweepMs = 10;

/** How long clients may take, in milliseconds. */
const patience = {
  handshakeMs: 10_000,
  /** A request's headers; Kubernetes' own time. */
  headersMs: 32_000,
  /** A connection between two requests. */
  idleMs: 120_000,
} as const;
/** Labels of a selector that is longer do not fit a request; kubectl sends some hundred. */
const maxHeaderBytes = 64 * 1024;

/** The HTTP side of the server: bounds what clients may cost, behind as many TLS listeners as there are addresses. */
export class HttpFront {
  readonly #config: ApiServerConfig;
  readonly #servers: Server[] = [];
  readonly #handler: ApiHandler;
  readonly #authenticate: Authenticator;
  readonly #inFlight: InFlight;
  /** Connections that are no longer HTTP: the servers do not know them any more. */
  readonly #upgraded = new Set<Socket>();
  #isClosing = false;

  constructor(handler: ApiHandler, authenticate: Authenticator, config: ApiServerConfig) {
    this.#config = config;
    this.#handler = handler;
    this.#authenticate = authenticate;
    this.#inFlight = new InFlight(config.limits);
    for (const _ of config.listen) this.#servers.push(this.#createServer());
  }

  /**
   * Listens on all addresses. Returns the URL of each.
   * @throws SignalboxError `LISTEN_FAILED`
   */
  async listen(): Promise<string[]> {
    return Promise.all(this.#config.listen.map((where, i) => listen(this.#servers[i], where)));
  }

  /**
   * Takes no more connections and requests, and ends the connections there are when they are idle or 5 seconds have
   * gone. Requests under way are answered.
   */
  async close(): Promise<void> {
    this.#isClosing = true;
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    // Watches that were ended leave their connections idle a little later.
    const sweep = setInterval(() => {
      for (const server of this.#servers) server.closeIdleConnections();
    }, idleSweepMs);
    const timer = setTimeout(() => {
      for (const server of this.#servers) server.closeAllConnections();
    }, stopMs);
    // The streams of Pods have no end of their own.
    for (const socket of this.#upgraded) socket.destroy();
    await Promise.all(closed);
    clearInterval(sweep);
    clearTimeout(timer);
  }

  #createServer(): Server {
    const { pki, limits } = this.#config;
    const server = createServer({
      // Who has no certificate gets an answer that says so, instead of a broken connection.
      ...{ ca: pki.caCert, cert: pki.serverCert, key: pki.serverKey, requestCert: true, rejectUnauthorized: false },
      minVersion: 'TLSv1.2',
      handshakeTimeout: Math.min(patience.handshakeMs, limits.requestMs),
      maxHeaderSize: maxHeaderBytes,
      headersTimeout: Math.min(patience.headersMs, limits.requestMs),
      // Bodies have their own time, because some are for others: see `limitArrival`.
      requestTimeout: 0,
      connectionsCheckingInterval: Math.min(5_000, limits.requestMs / 4),
      keepAliveTimeout: patience.idleMs,
      // A client whose machine is gone says nothing more; the kernel asks it whether it is there.
      keepAlive: true,
      keepAliveInitialDelay: 30_000,
    });
    // Later than a request that does not arrive is answered.
    server.timeout = limits.requestMs * 1.5;
    server.on('request', (request, response) => {
      // Nothing moves: a watch without events may be so for long, a client that does not take what it asked for may not.
      response.on('timeout', () => {
        if (response.writableLength > 0 || request.socket.writableLength > 0) request.socket.destroy();
      });
      this.#answer(request, response).catch((error: Error) => sendStatus(response, internalError(error.message)));
    });
    server.on('upgrade', (request, socket, head) => {
      this.#upgrade(request, socket as Socket, head).catch(() => socket.destroy());
    });
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => answerMalformed(error, socket as Socket));
    return server;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const waitLonger = limitArrival(request, this.#config.limits.requestMs);
    try {
      const { admitted, user } = await this.#admit(request, response, response);
      // What is for others need not fit into memory here, and takes its time.
      const isPassedOn = user !== undefined && admitted.info?.subresource === 'proxy' && hasBody(request);
      if (isPassedOn) waitLonger();
      // Who is nobody is not listened to either.
      const body = user === undefined || isPassedOn ? Buffer.alloc(0) : await receiveBody(request);
      const result = await this.#handler.handle({ ...admitted, user, body });
      if (result === streamed) return;
      // The rest of a body that nobody takes is not waited for.
      if (isPassedOn) response.shouldKeepAlive = false;
      this.#send(response, result);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      sendStatus(response, error);
    }
  }

  #send(response: ServerResponse, answer: ApiAnswer): void {
    const leave = this.#inFlight.hold(Buffer.byteLength(answer.body));
    if (leave === undefined) throw tooManyRequests();
    if (response.destroyed) leave();
    else response.once('close', leave);
    sendAnswer(response, answer);
  }

  /** A request for another kind of connection: the handler takes the connection over, or answers as it does others. */
  async #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): Promise<void> {
    this.#upgraded.add(socket);
    socket.once('close', () => this.#upgraded.delete(socket));
    socket.on('error', () => socket.destroy());
    const response = new ServerResponse(request);
    response.shouldKeepAlive = false;
    response.assignSocket(socket);
    response.once('finish', () => socket.end());
    socket.setTimeout(this.#config.limits.requestMs, () => socket.destroy());
    const take = () => {
      socket.setTimeout(0);
      response.detachSocket(socket);
      return socket;
    };
    try {
      const { admitted, user } = await this.#admit(request, response, socket);
      const upgrade = { head, take };
      const result = await this.#handler.handle({ ...admitted, user, body: Buffer.alloc(0), upgrade });
      if (result !== streamed) sendAnswer(response, result);
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      sendStatus(response, error);
    }
  }

  /**
   * Finds out who asks, and whether there is room for one more request, which takes it until `place` is closed.
   * @throws StatusError 400, 429, 503
   */
  async #admit(
    request: IncomingMessage,
    response: ServerResponse,
    place: ServerResponse | Socket,
  ): Promise<{ admitted: Omit<ApiRequest, 'user' | 'body'>; user: User | undefined }> {
    if (this.#isClosing) {
      response.shouldKeepAlive = false;
      throw unavailable('the server is shutting down');
    }
    const { method = 'GET', headers } = request;
    const target = readTarget(request.url ?? '/');
    const user = await this.#authenticate(request);
    const info = readResourceRequest(method, target.path, target.query);
    const leave = this.#inFlight.enter({ method, ...target, user, info });
    if (leave === undefined) throw tooManyRequests();
    if (place.destroyed) leave();
    else place.once('close', leave);
    return { admitted: { method, ...target, info, headers, incoming: request, response }, user };
  }
}

async function listen(server: Server | undefined, where: Listen): Promise<string> {
  if (server === undefined) throw new Error('there is no server for an address');
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause: Error) => {
      const object = 'fd' in where ? `inherited socket ${where.fd}` : `${where.host}:${where.port}`;
      const remedy = 'choose another port, or stop what uses it';
      reject(
        new SignalboxError('LISTEN_FAILED', {
          object,
          problem: `cannot be listened on (${cause.message})`,
          remedy,
          cause,
        }),
      );
    });
    server.listen(where, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === 'string') return `unix:${address}`;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `https://${host}:${address.port}`;
}
