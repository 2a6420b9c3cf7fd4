import { setMaxListeners } from 'node:events';
import http, { type IncomingMessage } from 'node:http';
import https from 'node:https';
import { createSecureContext } from 'node:tls';
import { sleep } from '../component/backoff.ts';
import { SignalboxError } from '../errors/error.ts';
import { connectionError } from './connection-error.ts';
import { ServerList } from './server-list.ts';
import type { ClientConfig, ClientIdentity } from './types.ts';
import { userAgentOf } from './user-agent.ts';

/** Time-outs in milliseconds. */
export interface HttpTimeouts {
  /** From sending a request to the end of its answer, further tries after 429 and 503 included. */
  readonly request: number;
  /** Until a connection is there, where another server can be asked in its place. */
  readonly connect: number;
  /** Between two pieces of a stream: servers send a bookmark about every minute. */
  readonly streamIdle: number;
}

export const defaultTimeouts: HttpTimeouts = { request: 60_000, connect: 3_000, streamIdle: 150_000 };

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

/**
 * Requests to an API server over kept-alive connections, with resumed TLS sessions. Rejects as `ApiClient` says. Of
 * several servers one is used, from a random one on, until it cannot be reached or says that it cannot serve. What that
 * one cannot have seen is sent to the next at once, and so is every read.
 */
export interface HttpTransport {
  /** Waits and sends again, within the time-out, when the server asks for that by 429 or 503 and Retry-After. */
  request(request: HttpRequest): Promise<HttpResponse>;
  /** Resolves when the answer's head is there. A status other than 200 comes complete; 429 and 503 as with `request`. */
  stream(request: HttpRequest, signal: AbortSignal): Promise<AsyncIterable<Buffer> | HttpResponse>;
  /** Ends all connections; requests under way and later ones reject with `API_UNREACHABLE`. */
  close(): void;
}

const maxBody = 256 * 1024 * 1024;
const maxErrorBody = 64 * 1024;
const maxTries = 6;
const maxRetryAfterMs = 30_000;
const maxConnections = 512;
/** Of a server that cannot serve, whatever is asked of it. */
const unableStatuses: ReadonlySet<number> = new Set([502, 503, 504]);

/** A transport for one cluster. No connection is made before the first request. */
export function createHttpTransport(config: ClientConfig, timeouts: HttpTimeouts = defaultTimeouts): HttpTransport {
  return new NodeTransport(config, timeouts);
}

/** How far a request came that had no answer. */
type Reach =
  /** There was no connection: nobody has seen it. */
  | 'unsent'
  /** A kept-alive connection was closed by the server, probably before it could read the request. */
  | 'stale'
  | 'sent';

/** How a request is sent, wherever to. */
interface Sending {
  readonly headers: http.OutgoingHttpHeaders;
  readonly agent: http.Agent;
  /** Milliseconds since the epoch. */
  readonly deadline: number;
  readonly signal: AbortSignal | undefined;
}

/** There was no answer. */
class NoAnswer extends Error {
  readonly reach: Reach;

  constructor(reach: Reach, cause: unknown) {
    super('no answer', { cause });
    this.reach = reach;
  }
}

class NodeTransport implements HttpTransport {
  readonly #config: ClientConfig;
  readonly #timeouts: HttpTimeouts;
  readonly #servers: ServerList;
  readonly #closed = new AbortController();
  #agent: http.Agent | undefined;
  #agentIdentity: ClientIdentity | undefined;

  constructor(config: ClientConfig, timeouts: HttpTimeouts) {
    this.#config = config;
    this.#timeouts = timeouts;
    this.#servers = new ServerList(config.server, config.otherServers);
    // Every request under way listens: their number says nothing of a leak.
    setMaxListeners(0, this.#closed.signal);
  }

  async request(request: HttpRequest): Promise<HttpResponse> {
    const deadline = Date.now() + this.#timeouts.request;
    for (let attempt = 1; ; attempt++) {
      const head = await this.#sendAuthorized(request, deadline, undefined);
      const response = await this.#readAll(head, deadline);
      if (!(await this.#mayTryAgain(head, { attempt, deadline }))) return response;
    }
  }

  async stream(request: HttpRequest, signal: AbortSignal): Promise<AsyncIterable<Buffer> | HttpResponse> {
    const deadline = Date.now() + this.#timeouts.request;
    for (let attempt = 1; ; attempt++) {
      const head = await this.#sendAuthorized(request, deadline, signal);
      if (head.statusCode === 200) return this.#pieces(head, signal);
      const response = await this.#readAll(head, deadline);
      if (!(await this.#mayTryAgain(head, { attempt, deadline }, signal))) return response;
    }
  }

  /** Waits as long as the server asks for; false when it does not ask, or for too long. */
  async #mayTryAgain(
    head: IncomingMessage,
    { attempt, deadline }: { readonly attempt: number; readonly deadline: number },
    signal?: AbortSignal,
  ): Promise<boolean> {
    const wait = retryAfterMs(head);
    if (wait === undefined || attempt >= maxTries || Date.now() + wait >= deadline) return false;
    await sleep(wait, this.#closed.signal, signal);
    return !this.#closed.signal.aborted && signal?.aborted !== true;
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
    return await this.#sendToAny(request, { headers, agent, deadline, signal });
  }

  /** Sends a request to the server in use; to others in turn where that can do no harm. */
  async #sendToAny(request: HttpRequest, how: Sending): Promise<IncomingMessage> {
    for (let tried = 1; ; tried++) {
      const server = this.#servers.current;
      try {
        const head = await this.#exchange(server, request, how);
        // It has lost its store, or is gone behind something that stands before it: the next request is another's.
        if (unableStatuses.has(head.statusCode ?? 0)) this.#servers.leave(server);
        return head;
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error;
        const isStale = error.reach === 'stale';
        const isOver = this.#closed.signal.aborted || how.signal?.aborted === true || Date.now() >= how.deadline;
        const hasOther = isStale || this.#servers.leave(server) !== server;
        // A read may be repeated whatever became of the first; for a write only its caller can know.
        const isHarmless = request.method === 'GET' || error.reach === 'unsent';
        if (isOver || !hasOther || !isHarmless || tried > this.#servers.size)
          throw connectionError(server.origin, error.cause);
      }
    }
  }

  /** Sends it to one server and waits for the head of the answer. @throws NoAnswer */
  #exchange(
    server: URL,
    request: HttpRequest,
    { headers, agent, deadline, signal }: Sending,
  ): Promise<IncomingMessage> {
    const url = new URL(server.pathname.replace(/\/$/, '') + request.path, server);
    const message = (url.protocol === 'http:' ? http : https).request(url, { method: request.method, headers, agent });
    const stops = [this.#closed.signal, ...(signal === undefined ? [] : [signal])];
    let reach: Reach = 'unsent';
    return new Promise((resolve, reject) => {
      const stop = () => message.destroy(new Error('the request was given up'));
      const giveUp = () => message.destroy(timeoutError());
      const timer = setTimeout(giveUp, Math.max(1, deadline - Date.now()));
      const connecting = this.#servers.size > 1 ? setTimeout(giveUp, this.#timeouts.connect) : undefined;
      const settle = () => {
        clearTimeout(timer);
        clearTimeout(connecting);
        for (const each of stops) each.removeEventListener('abort', stop);
      };
      for (const each of stops) {
        each.addEventListener('abort', stop, { once: true });
        if (each.aborted) stop();
      }
      message.on('socket', (socket) => {
        const connected = () => {
          clearTimeout(connecting);
          reach = 'sent';
        };
        if (message.reusedSocket) connected();
        else socket.once(url.protocol === 'http:' ? 'connect' : 'secureConnect', connected);
      });
      message.on('response', (head) => {
        settle();
        resolve(head);
      });
      message.on('error', (cause: NodeJS.ErrnoException) => {
        settle();
        const isStale = message.reusedSocket && (cause.code === 'ECONNRESET' || cause.code === 'EPIPE');
        reject(new NoAnswer(isStale ? 'stale' : reach, cause));
      });
      message.end(request.body);
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
      throw connectionError(this.#servers.current.origin, error);
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
      if (!signal.aborted) throw connectionError(this.#servers.current.origin, error);
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
    this.#agent = createAgent(this.#config, this.#servers.current.protocol, identity);
    this.#agentIdentity = identity;
    if (retired !== undefined) retired.maxFreeSockets = 0;
    return this.#agent;
  }
}

function staticIdentity(config: ClientConfig): ClientIdentity | undefined {
  const { clientCertificate: certificate, clientKey: key } = config;
  return certificate === undefined || key === undefined ? undefined : { certificate, key };
}

function createAgent(config: ClientConfig, protocol: string, identity: ClientIdentity | undefined): http.Agent {
  const options = { keepAlive: true, maxSockets: maxConnections, maxFreeSockets: 16 };
  if (protocol === 'http:') return new http.Agent(options);
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
