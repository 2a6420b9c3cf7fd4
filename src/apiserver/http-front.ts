import { type IncomingMessage, type Server as PlainServer, type RequestListener, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Socket } from 'node:net';
import { type FastifyInstance, type FastifyReply, type FastifyRequest, fastify } from 'fastify';
import { SignalboxError } from '../errors/error.ts';
import type { ApiHandler } from './api-handler.ts';
import type { Authenticator } from './authentication.ts';
import type { ApiServerConfig, Listen } from './config.ts';
import { type ApiAnswer, formatWarning, streamed } from './requests.ts';
import { badRequest, internalError, noSuchPath, type StatusError, tooLarge, unsupportedMediaType } from './status.ts';

/** Largest request body in bytes, as Kubernetes'. */
const bodyLimit = 3 * 1024 * 1024;
const stopMs = 5_000;
const idleMs = 120_000;

/** The HTTP side of the server: Fastify in front of the handler, behind as many TLS listeners as there are addresses. */
export class HttpFront {
  /** For tests, which send requests by `inject`. */
  readonly app: FastifyInstance;
  readonly #config: ApiServerConfig;
  readonly #servers: Server[] = [];
  readonly #handler: ApiHandler;
  readonly #authenticate: Authenticator;
  /** Connections that are no longer HTTP: the servers do not know them any more. */
  readonly #upgraded = new Set<Socket>();

  constructor(handler: ApiHandler, authenticate: Authenticator, config: ApiServerConfig) {
    this.#config = config;
    this.#handler = handler;
    this.#authenticate = authenticate;
    this.app = fastify({
      bodyLimit,
      exposeHeadRoutes: false,
      forceCloseConnections: false,
      frameworkErrors: (error, _request, reply) => sendStatus(reply, toStatusError(error)),
      serverFactory: (listener) => this.#createServers(listener),
    });
    this.app.removeAllContentTypeParsers();
    this.app.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => done(null, body));
    this.app.setNotFoundHandler((_request, reply) => sendStatus(reply, noSuchPath()));
    this.app.setErrorHandler((error, _request, reply) => sendStatus(reply, toStatusError(error)));
    this.app.all('/*', (request, reply) => answer(handler, authenticate, { request, reply }));
  }

  /**
   * Listens on all addresses. Returns the URL of each.
   * @throws SignalboxError `LISTEN_FAILED`
   */
  async listen(): Promise<string[]> {
    await this.app.ready();
    return Promise.all(this.#config.listen.map((where, i) => listen(this.#servers[i], where)));
  }

  /** Takes no more connections, and ends those there are when they are idle or 5 seconds have gone. */
  async close(): Promise<void> {
    const closed = this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
    for (const server of this.#servers) server.closeIdleConnections();
    const timer = setTimeout(() => {
      for (const server of this.#servers) server.closeAllConnections();
    }, stopMs);
    // The streams of Pods have no end of their own.
    for (const socket of this.#upgraded) socket.destroy();
    await Promise.all(closed);
    clearTimeout(timer);
    await this.app.close();
  }

  #createServers(listener: RequestListener): PlainServer {
    const { caCert, serverCert, serverKey } = this.#config.pki;
    for (const _ of this.#config.listen) {
      // Who has no certificate gets an answer that says so, instead of a broken connection.
      const tls = { ca: caCert, cert: serverCert, key: serverKey, requestCert: true, rejectUnauthorized: false };
      const server = createServer({ ...tls, minVersion: 'TLSv1.2', keepAliveTimeout: idleMs }, listener);
      server.on('upgrade', (request, socket, head) => {
        this.#upgrade(request, socket as Socket, head).catch(() => socket.destroy());
      });
      this.#servers.push(server);
    }
    // Fastify's own server never listens; it wants one to look after.
    const [first] = this.#servers;
    return (first ?? createServer({}, listener)) as unknown as PlainServer;
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
    const take = () => {
      response.detachSocket(socket);
      return socket;
    };
    const user = await this.#authenticate(request);
    const asked = { ...readRequest(request), body: Buffer.alloc(0), user, response };
    const result = await this.#handler.handle({ ...asked, upgrade: { head, take } });
    if (result !== streamed) write(response, result);
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

async function answer(
  handler: ApiHandler,
  authenticate: Authenticator,
  { request, reply }: { request: FastifyRequest; reply: FastifyReply },
): Promise<void> {
  // Past Fastify's own sending, which would rewrite the parameters of media types.
  reply.hijack();
  const result = await handler.handle({
    ...readRequest(request.raw),
    body: Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0),
    user: await authenticate(request.raw),
    response: reply.raw,
  });
  if (result === streamed) return;
  // An answer that broke off after it began cannot be taken back.
  if (reply.raw.headersSent) reply.raw.destroy();
  else write(reply.raw, result);
}

function readRequest({ method = 'GET', url = '/', headers }: IncomingMessage) {
  const mark = url.indexOf('?');
  return {
    method,
    path: mark < 0 ? url : url.slice(0, mark),
    query: new URLSearchParams(mark < 0 ? '' : url.slice(mark + 1)),
    headers,
  };
}

function write(response: ServerResponse, { code, type, body, headers = {}, warnings = [] }: ApiAnswer): void {
  response.setHeader('content-type', type);
  response.setHeader('content-length', Buffer.byteLength(body));
  response.setHeader('cache-control', 'no-cache, private');
  for (const name in headers) response.setHeader(name, headers[name] ?? '');
  if (warnings.length > 0) response.setHeader('warning', warnings.map(formatWarning));
  response.writeHead(code);
  response.end(body);
}

function sendStatus(reply: FastifyReply, { status }: StatusError): void {
  reply.hijack();
  write(reply.raw, { code: status.code, type: 'application/json', body: JSON.stringify(status) });
}

/** What Fastify found wrong before the handler saw the request. */
function toStatusError(error: unknown): StatusError {
  const { code, statusCode = 500, message } = error as { code?: string; statusCode?: number; message: string };
  if (code === 'FST_ERR_CTP_BODY_TOO_LARGE') return tooLarge(bodyLimit);
  if (code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE') return unsupportedMediaType(message);
  return statusCode < 500 ? badRequest(message) : internalError(message);
}
