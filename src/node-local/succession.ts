import { backoffDelay, retry } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import type { DnsConfig } from '../dns/config/types.ts';
import type { DnsServer } from '../dns/server.ts';
import { countListeners } from '../kernel/listeners.ts';
import type { Place } from './places.ts';

const pagesBackoff = { initial: 20, max: 1_000 };

/**
 * Whether more than `own` servers listen at any of these. All of them share their sockets, so that one can come before
 * another goes. Who listens for UDP listens for TCP too.
 */
export function hasMore(places: readonly Place[], own: 0 | 1): boolean {
  return places.some(({ ip, port, protocol }) => protocol === 'tcp' && countListeners(ip, port) > own);
}

/** Without the pages, of which there is one server only: one that joins another has its own when that one has gone. */
export function withoutPages(config: DnsConfig): DnsConfig {
  return { ...config, health: undefined, ready: undefined, metrics: [] };
}

/** Has a server that joined another take up its pages as soon as they can be had; resolves then, or when the signal aborts. */
export async function takePages(
  server: DnsServer,
  config: DnsConfig,
  { log, signal }: { readonly log: Logger; readonly signal: AbortSignal },
): Promise<void> {
  await retry(() => server.apply(config), {
    signal,
    delay: (attempt) => backoffDelay(attempt, pagesBackoff),
    onError: (err) => log.debug({ err }, 'the pages are still those of the server before'),
  });
}
