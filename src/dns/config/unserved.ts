import { SignalboxError } from '../../errors/error.ts';
import { cacheDefaults, forwardDefaults } from './defaults.ts';
import type { ServerBlock } from './types.ts';

/**
 * Refuses what a block asks for and nobody does yet: it would be passed over otherwise, or done in the clear.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function requireServed(block: ServerBlock): void {
  const [unserved] = unservedOf(block);
  if (unserved === undefined) return;
  throw new SignalboxError('INVALID_CONFIG', { object: unserved, problem: 'is not done yet', remedy: 'remove it' });
}

function unservedOf({ listen, hosts, cache, forward }: ServerBlock): string[] {
  const asked: { readonly [what: string]: boolean } = {
    'listening for DNS over TLS': listen.some(({ transport }) => transport === 'tls'),
    'hosts (names of a file)': hosts !== undefined,
    'prefetch of cache': cache?.prefetch !== undefined,
    'serve_stale of cache': cache?.serveStale !== undefined,
    'keepttl of cache': cache?.keepTtl === true,
    'asking over TLS': forward.some(({ to }) => to.some((each) => each.kind === 'server' && each.transport === 'tls')),
    'force_tcp of forward': forward.some(({ forceTcp }) => forceTcp),
    'prefer_udp of forward': forward.some(({ preferUdp }) => preferUdp),
    'policy round_robin of forward': forward.some(({ policy }) => policy === 'round_robin'),
    'max_fails of forward': forward.some(({ maxFails }) => maxFails !== forwardDefaults.maxFails),
    'health_check of forward': forward.some(({ healthCheckMs }) => healthCheckMs !== forwardDefaults.healthCheckMs),
    'expire of forward': forward.some(({ expireMs }) => expireMs !== forwardDefaults.expireMs),
    'servfail of cache': cache !== undefined && cache.servfailMs !== cacheDefaults.servfailMs,
  };
  return Object.keys(asked).filter((what) => asked[what]);
}
