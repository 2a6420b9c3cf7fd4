import { once } from 'node:events';
import { createServer } from 'node:http';
import type { HttpAddress } from '../config.ts';
import { portTaken } from './port-taken.ts';

/** A page: what is there now. */
interface Page {
  readonly status: number;
  readonly body: string;
  readonly type?: string;
}

/** Pages by their path. */
export type Pages = { readonly [path: string]: () => Page };

/** A server of pages, and how to end it. */
export interface PageServer {
  readonly port: number;
  close(): Promise<void>;
}

/**
 * Serves a few pages over HTTP to probes and scrapers.
 * @throws SignalboxError `PORT_TAKEN`
 */
export async function servePages(address: HttpAddress, pages: Pages): Promise<PageServer> {
  const server = createServer({ requestTimeout: 5_000, headersTimeout: 5_000 }, (request, response) => {
    const path = (request.url ?? '').replace(/\?.*$/, '');
    const page = Object.hasOwn(pages, path) ? pages[path]?.() : undefined;
    const { status, body, type = 'text/plain; charset=utf-8' } = page ?? { status: 404, body: 'not found\n' };
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) });
    response.end(request.method === 'HEAD' ? undefined : body);
  });
  server.maxConnections = 100;
  server.listen({ port: address.port, ...(address.ip === undefined ? {} : { host: address.ip }) });
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw portTaken(`${address.ip ?? '*'}:${address.port}`, cause);
  }
  const bound = server.address();
  return {
    port: typeof bound === 'object' && bound !== null ? bound.port : address.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
