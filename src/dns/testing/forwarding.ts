import { cacheDefaults, forwardDefaults } from '../config/defaults.ts';
import type { CacheSettings, ForwardSettings } from '../config/types.ts';
import { AnswerCache } from '../forward/cache.ts';
import { Forwarder, type ForwarderOptions } from '../forward/forwarder.ts';
import type { TargetServer } from '../forward/targets.ts';
import { DnsMetrics } from '../metrics.ts';
import { rootName } from '../wire/name.ts';
import { silent } from './servers.ts';

/** For tests: a forwarder's parts. Its upstreams are asked in the order given, and are DNS in the clear unless they say. */
export interface ForwardingParts
  extends Partial<Pick<ForwarderOptions, 'tls' | 'timeoutMs' | 'deadlineMs' | 'maxInFlight' | 'log'>> {
  readonly upstreams: readonly (Omit<TargetServer, 'transport'> & Partial<TargetServer>)[];
  readonly settings?: Partial<ForwardSettings>;
  /** `false` for none. */
  readonly cache?: Partial<CacheSettings> | false;
  readonly metrics?: DnsMetrics;
  /** The cache's clock, in milliseconds. */
  readonly now?: () => number;
}

/**
 * For tests: a forwarder with time-outs that nobody reaches who answers at all, on the busiest machine. Where upstreams are
 * silent, tests give it some that end.
 */
export function newForwarder({
  upstreams,
  settings,
  cache,
  metrics = new DnsMetrics(),
  now,
  ...rest
}: ForwardingParts) {
  const kept =
    cache === false
      ? undefined
      : new AnswerCache(
          {
            settings: { ...cacheDefaults, zones: [rootName], ...cache },
            bytes: 1 << 20,
            metrics: metrics.cache('dns://:53', '.'),
          },
          now,
        );
  return new Forwarder({
    upstreams: upstreams.map((server) => ({ transport: 'dns', ...server })),
    settings: { ...forwardDefaults, from: rootName, to: [], policy: 'sequential', ...settings },
    tls: { serverName: undefined },
    timeoutMs: 10_000,
    deadlineMs: 20_000,
    maxInFlight: 10,
    cache: kept,
    metrics: metrics.forwarding,
    log: silent,
    ...rest,
  });
}
