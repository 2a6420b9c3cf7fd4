import { get } from 'node:http';
import { versionNumbers } from '../client/resource-version.ts';
import { urlHost } from '../net/ip.ts';
import type { OpenBlock } from './blocks.ts';
import type { DnsConfig, ServerBlock } from './config/types.ts';
import type { Feed } from './feed.ts';
import type { DnsMetrics } from './metrics.ts';

/** Has the metrics say what the blocks hold, whenever they are asked. */
export function exposeGauges({ registry }: DnsMetrics, blocks: () => readonly OpenBlock[]): void {
  const zones = () => blocks().flatMap(({ cluster }) => cluster?.zone ?? []);
  registry.readGauge({ name: 'signalbox_dns_zone_names', help: 'Names that exist in the zones served.' }, () =>
    zones()
      .flatMap((zone) => zone.zones)
      .reduce((sum, { tree }) => sum + tree.size, 0),
  );
  registry.readGauge({ name: 'signalbox_dns_zone_serial', help: 'Serial number of the zones.' }, () =>
    Math.max(0, ...zones().map(({ serial }) => serial)),
  );
  const age = {
    name: 'signalbox_dns_zone_age_seconds',
    help: 'How long the API may have had changes the zones have not.',
  };
  registry.readGauge(age, () => Math.max(0, ...blocks().map(({ cluster }) => cluster?.feed.age() ?? 0)));
  const version = {
    name: 'signalbox_dns_resource_version',
    help: 'All changes of a resource up to this version are in the zones.',
    label: 'resource',
  };
  registry.readGauges(version, () => leastVersions(blocks().flatMap(({ cluster }) => cluster?.feed ?? [])));
}

/** Blocks follow the API each for themselves, and not all of them the same resources. */
function leastVersions(feeds: readonly Feed[]): ReadonlyMap<string, number> {
  const least = new Map<string, number>();
  for (const feed of feeds) {
    for (const [resource, version] of versionNumbers(feed.versions()))
      least.set(resource, Math.min(version, least.get(resource) ?? version));
  }
  return least;
}

/** What a configuration has for all blocks, under the names of CoreDNS' plugins. */
export function pluginsOfServer({ health, ready, metrics, reload }: DnsConfig): string[] {
  return present({ health, ready, prometheus: metrics[0], reload });
}

/** What it has for one block. */
export function pluginsOfBlock(settings: ServerBlock): string[] {
  const { errors, hosts, cache, kubernetes, tls } = settings;
  return present({
    errors,
    log: settings.log[0],
    loadbalance: settings.loadbalance || undefined,
    loop: settings.loop || undefined,
    hosts,
    cache,
    kubernetes,
    transfer: settings.transfer[0],
    forward: settings.forward[0],
    tls,
  });
}

function present(settings: { readonly [plugin: string]: unknown }): string[] {
  return Object.keys(settings).filter((plugin) => settings[plugin] !== undefined);
}

/** Between two looks at the own health page, and how long it may take, in milliseconds. */
const healthCheckMs = 1_000;

/**
 * Asks the server's own `/health` once a second, as CoreDNS does: a server that is slow to answer it is overloaded, and
 * is about to be restarted for it.
 */
export function checkOwnHealth(
  address: () => { readonly ip: string; readonly port: number } | undefined,
  metrics: DnsMetrics,
): { close(): void } {
  const timer = setInterval(() => {
    const to = address();
    if (to === undefined) return;
    const started = performance.now();
    const request = get(`http://${urlHost(to.ip)}:${to.port}/health`, { agent: false, timeout: healthCheckMs });
    request.on('response', (response) => {
      response.resume();
      metrics.observeHealth((performance.now() - started) / 1000);
    });
    request.on('timeout', () => request.destroy(new Error('no answer in time')));
    request.on('error', () => metrics.observeHealth(undefined));
  }, healthCheckMs);
  timer.unref();
  return { close: () => clearInterval(timer) };
}
