import { setMaxListeners } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { createSecureContext } from 'node:tls';
import { sleep } from '../component/backoff.ts';
import { SignalboxError } from '../errors/error.ts';
import { connectionError } from './connection-error.ts';
import type { ClientConfig, ClientIdentity } from './types.ts';
import { userAgentOf } from './user-agent.ts';

/** Time-outs in milliseconds. */
export interface HttpTimeouts {
  /** From sending a request to the end of its answer, further tries after 429 and 503 included. */
  readonly request: number;
  /** Between two pieces of a stream: servers send a bookmark about every minute. */
  readonly streamIdle: number;
}

export const defaultTimeouts: HttpTimeouts = { request: 60_000, streamIdle: 150_000 };

/** One request; the path carries the query. */
interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly headers?: { readonly [name: string]: string };
  readonly body?: string;
}

/** A complete answer. Bodies of failures are cut at 64 KiB. */
export interface HttpResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Requests to one server over kept-alive connections, with resumed TLS sessions. Rejects as `ApiClient` says. */
export interface HttpTransport {
  /** Waits and sends again, within the time-out, when the server asks for that by 429 or 503 and Retry-After. */
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Resolves when the answer's head is there. A status other than 200 comes complete, as from `request`. */
  stream(request: HttpRequest, signal: AbortSignal): Promise<AsyncIterable<Buffer> | HttpResponse>;
  /** Ends all connections; requests under way and later ones reject with `API_UNREACHABLE`. */
  close(): void;
}

const maxBody = 256 * 1024 * 1024;
const maxErrorBody = 64 * 1024;
const maxTries = 6;
const maxRetryAfterMs = 30_000;
const maxConnections = 512;

/** A transport for one API server. No connection is made before the first request. */
export function createHttpTransport(config: ClientConfig, timeouts: HttpTimeouts = defaultTimeouts): HttpTransport {
  return new NodeTransport(config, timeouts);
}

/** A kept-alive connection was closed by the server before it could read the request. */
class StaleConnection extends Error {}

class NodeTransport implements HttpTransport {
  readonly #config: ClientConfig;
  readonly #timeouts: HttpTimeouts;
  readonly #base: URL;
  readonly #closed = new AbortController();
  #agent: http.Agent | undefined;
  #agentIdentity: ClientIdentity | undefined;

  constructor(config: ClientConfig, timeouts: HttpTimeouts) {
    this.#config = config;
    this.#timeouts = timeouts;
    this.#base = parseServer(config.server);
    // Every request under way listens: their number says nothing of a leak.
    setMaxListeners(0, this.#closed.signal);
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    const deadline = Date.now() + this.#timeouts.request;
    for (let attempt = 1; ; attempt++) {
      const head = await this.#sendAuthorized(request, deadline, undefined);
      const response = await this.#readAll(head, deadline);
      const wait = retryAfterMs(head);
      if (wait === undefined || attempt >= maxTries || Date.now() + wait >= deadline) return response;
      await sleep(wait, this.#closed.signal);
    }
  }

  async stream(request: HttpRequest, signal: AbortSignal): Promise<AsyncIterable<Buffer> | HttpResponse> {
    const deadline = Date.now() + this.#timeouts.request;
    const head = await this.#sendAuthorized(request, deadline, signal);
    return head.statusCode === 200 ? this.#pieces(head, signal) : this.#readAll(head, deadline);
  }

  close(): void {
    this.#closed.abort();
    this.#agent?.destroy();
  }

  /** As `#send`; once more with fresh credentials when the server refuses cached ones. */
  async #sendAuthorized(request: HttpRequest, deadline: number, signal?: AbortSignal): Promise<IncomingMessage> {
    const head = await this.#send(request, deadline, signal);
    if (head.statusCode !== 401 || this.#config.onUnauthorized === undefined) return head;
    head.resume();
    this.#config.onUnauthorized();
    return this.#send(request, deadline, signal);
  }

  async #send(request: HttpRequest, deadline: number, signal?: AbortSignal): Promise<IncomingMessage> {
    const agent = await this.#currentAgent();
    const headers: Record<string, string> = {
      accept: 'application/json',
      'user-agent': userAgentOf(this.#config.component ?? 'signalbox'),
      ...request.headers,
    };
    const token = await this.#config.token?.();
    if (token !== undefined && token !== '') headers.authorization = `Bearer ${token}`;
    if (request.body !== undefined) headers['content-length'] = String(Buffer.byteLength(request.body));
    const url = new URL(this.#base.pathname.replace(/\/$/, '') + request.path, this.#base);
    const open = () =>
      (url.protocol === 'http:' ? http : https).request(url, { method: request.method, headers, agent });
    const exchange = { body: request.body, deadline, signal };
    try {
      return await this.#exchange(open(), exchange).catch((error: unknown) => {
        // A read may be repeated whatever became of the first; for a write only its caller can know.
        if (error instanceof StaleConnection && request.method === 'GET') return this.#exchange(open(), exchange);
        throw error;
      });
    } catch (error) {
      throw connectionError(this.#base.origin, error instanceof StaleConnection ? error.cause : error);
    }
  }

  /** Sends the body and waits for the head of the answer. */
  #exchange(
    message: http.ClientRequest,
    options: { body: string | undefined; deadline: number; signal: AbortSignal | undefined },
  ): Promise<IncomingMessage> {
    const stops = [this.#closed.signal, ...(options.signal === undefined ? [] : [options.signal])];
    return new Promise((resolve, reject) => {
      const stop = () => message.destroy(new Error('the request was given up'));
      const timer = setTimeout(() => message.destroy(timeoutError()), Math.max(1, options.deadline - Date.now()));
      const settle = () => {
        clearTimeout(timer);
        for (const signal of stops) signal.removeEventListener('abort', stop);
      };
      for (const signal of stops) {
        signal.addEventListener('abort', stop, { once: true });
        if (signal.aborted) stop();
      }
      message.on('response', (head) => {
        settle();
        resolve(head);
      });
      message.on('error', (cause: NodeJS.ErrnoException) => {
        settle();
        const stale = message.reusedSocket && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE');
        reject(stale ? new StaleConnection(cause.message, { cause }) : cause);
      });
      message.end(options.body);
    });
  }

  async #readAll(head: IncomingMessage, deadline: number): Promise<HttpResponse> {
    const status = head.statusCode ?? 0;
    const limit = status < 400 ? maxBody : maxErrorBody;
    const parts: Buffer[] = [];
    let size = 0;
    const timer = setTimeout(() => head.destroy(timeoutError()), Math.max(1, deadline - Date.now()));
    const stop = () => head.destroy(new Error('this client is closed'));
    this.#closed.signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const part of head as AsyncIterable<Buffer>) {
        size += part.length;
        if (size > limit && status < 400) throw new Error(`the answer is larger than ${limit} bytes`);
        if (size <= limit) parts.push(part);
      }
    } catch (error) {
      throw connectionError(this.#base.origin, error);
    } finally {
      clearTimeout(timer);
      this.#closed.signal.removeEventListener('abort', stop);
    }
    const contentType = head.headers['content-type'] ?? '';
    return { status, contentType, body: Buffer.concat(parts).toString('utf8') };
  }

  async *#pieces(head: IncomingMessage, signal: AbortSignal): AsyncGenerator<Buffer> {
    const timer = setTimeout(() => head.destroy(timeoutError()), this.#timeouts.streamIdle);
    const stop = () => head.destroy();
    const stops = [signal, this.#closed.signal];
    for (const each of stops) each.addEventListener('abort', stop, { once: true });
    try {
      if (stops.some((each) => each.aborted)) return;
      for await (const piece of head as AsyncIterable<Buffer>) {
        timer.refresh();
        yield piece;
      }
    } catch (error) {
      if (!signal.aborted) throw connectionError(this.#base.origin, error);
    } finally {
      clearTimeout(timer);
      for (const each of stops) each.removeEventListener('abort', stop);
      head.destroy();
    }
  }

  /** The agent for the present client certificate; connections of an earlier certificate end when idle. */
  async #currentAgent(): Promise<http.Agent> {
    const identity = (await this.#config.clientIdentity?.()) ?? staticIdentity(this.#config);
    const same = identity?.certificate === this.#agentIdentity?.certificate;
    if (this.#agent !== undefined && same) return this.#agent;
    const retired = this.#agent;
    this.#agent = createAgent(this.#config, this.#base, identity);
    this.#agentIdentity = identity;
    if (retired !== undefined) retired.maxFreeSockets = 0;
    return this.#agent;
  }
}

function staticIdentity(config: ClientConfig): ClientIdentity | undefined {
  const { clientCertificate: certificate, clientKey: key } = config;
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}

function createAgent(config: ClientConfig, base: URL, identity: ClientIdentity | undefined): http.Agent {
  const options = { keepAlive: true, maxSockets: maxConnections, maxFreeSockets: 16 };
  if (base.protocol === 'http:') return new http.Agent(options);
  try {
    return new https.Agent({
      ...options,
      // Made once: else each connection would parse the certificates again.
      secureContext: createSecureContext({
        ca: config.certificateAuthority,
        cert: identity?.certificate,
        key: identity?.key,
      }),
      rejectUnauthorized: config.insecureSkipTlsVerify !== true,
      ...(config.tlsServerName === undefined ? {} : { servername: config.tlsServerName }),
    });
  } catch (cause) {
    throw new SignalboxError('INVALID_KUBECONFIG', {
      object: `the certificates for ${config.server}`,
      problem: `cannot be read (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: 'give certificate authority, client certificate and key in PEM form, the last two of one pair',
      cause,
    });
  }
}

function parseServer(server: string): URL {
  if (URL.canParse(server)) {
    const url = new URL(server);
    if (url.protocol === 'https:' || url.protocol === 'http:') return url;
  }
  throw new SignalboxError('INVALID_KUBECONFIG', {
    object: `server ${JSON.stringify(server)}`,
    problem: 'is not the address of an API server',
    remedy: 'write it as https://host:port',
  });
}

function timeoutError(): Error {
  return Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' });
}

/** How long the server asks to wait before the request is sent again; undefined when it does not ask. */
function retryAfterMs(head: IncomingMessage): number | undefined {
  if (head.statusCode !== 429 && head.statusCode !== 503) return undefined;
  const value = head.headers['retry-after'];
  if (value === undefined) return undefined;
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isNaN(seconds) ? undefined : Math.min(maxRetryAfterMs, Math.max(0, seconds * 1000));
}
