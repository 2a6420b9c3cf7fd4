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
  /** Beside those that every page has; names in lower case. */
  readonly headers?: { readonly [name: string]: string };
  readonly body: string;
}

/** Makes a page when it is asked for. */
export type MakePage = () => Page | Promise<Page>;

/** Pages by their path; or one page for whatever path. */
export type Pages = { readonly [path: string]: MakePage } | MakePage;

/** Where pages are served: on all addresses when there is no host. Port 0 takes a free one. */
export interface PageAddress {
  readonly host?: Ip | undefined;
  readonly port: number;
  /** Of the host `::`: whether IPv4 is left to somebody else. */
  readonly ipv6Only?: boolean;
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
export async function servePages({ host, port, ipv6Only = false }: PageAddress, pages: Pages): Promise<PageServer> {
  const bounds = { requestTimeout: timeoutMs, headersTimeout: timeoutMs, connectionsCheckingInterval: timeoutMs / 2 };
  const server = createServer(bounds, (request, response) => void respond(pages, request, response));
  server.maxConnections = maxConnections;
  server.setTimeout(timeoutMs);
  server.listen({ port, ipv6Only, ...(host === undefined ? {} : { host }) });
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

/** How pages are kept served. */
export interface ServingOptions {
  readonly signal: AbortSignal;
  readonly log: Logger;
  /** Told each time that the address could not be had. */
  readonly onTaken?: (error: unknown) => void;
}

/**
 * Serves pages until the signal aborts; an address that cannot be had is tried again with back-off, and the log says
 * so: for pages that a component can do without. Resolves when it no longer listens.
 */
export async function keepServingPages(
  address: PageAddress,
  pages: Pages,
  { signal, log, onTaken = () => {} }: ServingOptions,
): Promise<void> {
  const server = await retry(() => servePages(address, pages), {
    signal,
    delay: (attempt) => backoffDelay(attempt, listenBackoff),
    onError: (err) => {
      log.warn({ ...address, err }, 'cannot listen; will try again');
      onTaken(err);
    },
  });
  if (server === undefined) return;
  log.debug({ host: address.host, port: server.port, paths: pathsOf(pages) }, 'listening');
  await aborted(signal);
  await server.close();
}

async function respond(pages: Pages, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const [path = ''] = (request.url ?? '').split('?');
  const page = pageOf(pages, request.method, path);
  // What is there at once is answered at once: a probe does not queue behind other work.
  const made = page instanceof Promise ? await page : page;
  const { status = 200, type = 'text/plain; charset=utf-8', headers = {}, body } = made;
  response.writeHead(status, {
    'content-type': type,
    'content-length': Buffer.byteLength(body),
    'x-content-type-options': 'nosniff',
    ...headers,
  });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function pageOf(pages: Pages, method: string | undefined, path: string): Page | Promise<Page> {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, body: 'only GET is answered\n' };
  if (typeof pages === 'function') return pages();
  const page = Object.hasOwn(pages, path) ? pages[path] : undefined;
  return page?.() ?? { status: 404, body: `no such path; there are ${pathsOf(pages).join(' and ')}\n` };
}

function pathsOf(pages: Pages): string[] {
  return typeof pages === 'function' ? ['*'] : Object.keys(pages);
}
