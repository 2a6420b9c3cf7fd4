import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { backoffDelay, sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import type { ListenAddress, ProxyMode } from './config.ts';
import type { NodeProxy } from './node-proxy.ts';

/** An answer to a GET request. */
interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
}

type Routes = ReadonlyMap<string, () => Answer>;

const text = 'text/plain; charset=utf-8';
/** Whoever holds the port may let go of it; a proxy without health server is still a proxy. */
const listenBackoff = { initial: 1_000, max: 30_000 };

/**
 * `/healthz`: 503 when changes wait for the kernel too long or the node is about to go, so that balancers outside take
 * it out. `/livez`: 503 only for the former, for whoever restarts the proxy.
 */
export function healthRoutes(proxy: NodeProxy): Routes {
  const answer = (kind: 'healthz' | 'livez') => (): Answer => {
    const now = Date.now();
    const { eligible, health, metrics } = proxy;
    const good = health.isHealthy(now) && (kind === 'livez' || eligible);
    const status = good ? 200 : 503;
    metrics[kind].of(String(status)).add();
    return { status, type: 'application/json', body: JSON.stringify(health.report(now, eligible)) };
  };
  return new Map([
    ['/healthz', answer('healthz')],
    ['/livez', answer('livez')],
  ]);
}

/** `/metrics` for Prometheus, and `/proxyMode`. */
export function metricsRoutes(proxy: NodeProxy, mode: ProxyMode): Routes {
  return new Map([
    ['/metrics', () => ({ status: 200, type: 'text/plain; version=0.0.4; charset=utf-8', body: proxy.metricsText() })],
    ['/proxyMode', () => ({ status: 200, type: text, body: mode })],
  ]);
}

/**
 * Answers at an address until the signal aborts; if the address cannot be had, tries again with back-off and says so
 * in the log. Resolves when it no longer listens. `onListening` is given the port.
 */
export async function serve(
  routes: Routes,
  address: ListenAddress,
  { signal, log, onListening }: { signal: AbortSignal; log: Logger; onListening?: (port: number) => void },
): Promise<void> {
  for (let attempt = 0; !signal.aborted; attempt++) {
    const server = createServer({ requestTimeout: 10_000 }, (request, response) => respond(routes, request, response));
    try {
      const port = await listen(server, address);
      log.debug({ host: address.host, port, paths: [...routes.keys()] }, 'listening');
      onListening?.(port);
      await aborted(signal);
    } catch (error) {
      log.warn({ ...address, err: error }, 'cannot listen; will try again');
      await sleep(backoffDelay(attempt, listenBackoff), signal);
    } finally {
      server.close();
      server.closeAllConnections();
    }
  }
}

function respond(routes: Routes, request: IncomingMessage, response: ServerResponse): void {
  const [path = ''] = (request.url ?? '').split('?');
  const { status, type, body } = answerTo(routes, { method: request.method ?? '', path });
  response.writeHead(status, { 'content-type': type, 'x-content-type-options': 'nosniff' });
  response.end(request.method === 'HEAD' ? undefined : body);
}

function answerTo(routes: Routes, { method, path }: { method: string; path: string }): Answer {
  if (method !== 'GET' && method !== 'HEAD') return { status: 405, type: text, body: 'only GET is answered\n' };
  const known = `no such path; there are ${[...routes.keys()].join(' and ')}\n`;
  return routes.get(path)?.() ?? { status: 404, type: text, body: known };
}

function listen(server: Server, { host, port }: ListenAddress): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host, port }, () => {
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
    });
  });
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}
