import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { type Ip, urlHost } from '../net/ip.ts';
import { aborted } from './abort.ts';
import { backoffDelay, retry } from './backoff.ts';
import type { Logger } from './log.ts';
import { portTaken } from './port-taken.ts';

/** What is on a page now. */
export interface Page {
  /** 200 unless given. */
  readonly status?: number;
  /** Plain text unless given. */
  readonly type?: string;
  readonly body: string;
}

/** Pages by their path, each made when it is asked for. */
export type Pages = { readonly [path: string]: () => Page };

/** Where pages are served: on all addresses when there is no host. Port 0 takes a free one. */
export interface PageAddress {
  readonly host?: Ip | undefined;
  readonly port: number;
}

/** A server of pages, and how to end it. */
export interface PageServer {
  readonly port: number;
  close(): Promise<void>;
}

/** Probes and scrapers ask for little, and at once: whoever takes longer has gone. */
const timeoutMs = 10_000;
const maxConnections = 100;
/** Whoever holds a port may let go of it. */
const listenBackoff = { initial: 1_000, max: 30_000 };

/**
 * Serves a few pages over HTTP to probes and scrapers, who ask with GET or HEAD.
 * @throws SignalboxError `PORT_TAKEN`
 */
export async function servePages({ host, port }: PageAddress, pages: Pages): Promise<PageServer> {
  const bounds = { requestTimeout: timeoutMs, headersTimeout: timeoutMs, connectionsCheckingInterval: timeoutMs / 2 };
  const server = createServer(bounds, (request, response) => respond(pages, request, response));
  server.maxConnections = maxConnections;
  server.setTimeout(timeoutMs);
  server.listen({ port, ...(host === undefined ? {} : { host }) });
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw portTaken(`${host === undefined ? '*' : urlHost(host)}:${port}`, cause);
  }
  // Of a connection that could not be accepted: whoever asked will come again.
  server.on('error', () => {});
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/**
 * Serves pages until the signal aborts; an address that cannot be had is tried again with back-off, and the log says
 * so: for pages that a component can do without. Resolves when it no longer listens.
 */
export async function keepServingPages(
  address: PageAddress,
  pages: Pages,
  { signal, log }: { readonly signal: AbortSignal; readonly log: Logger },
): Promise<void> {
  const server = await retry(() => servePages(address, pages), {
    signal,
    delay: (attempt) => backoffDelay(attempt, listenBackoff),
    onError: (err) => log.warn({ ...address, err }, 'cannot listen; will try again'),
  });
  if (server === undefined) return;
  log.debug({ host: address.host, port: server.port, paths: Object.keys(pages) }, 'listening');
  await aborted(signal);
  await server.close();
}

function respond(pages: Pages, request: IncomingMessage, response: ServerResponse): void {
  const [path = ''] = (request.url ?? '').split('?');
  const { status = 200, type = 'text/plain; charset=utf-8', body } = pageOf(pages, request.method, path);
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function pageOf(pages: Pages, method: string | undefined, path: string): Page {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET is answered\n' };
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  return page?.() ?? { status: 404, body: `no such path; there are ${Object.keys(pages).join(' and ')}\n` };
}
