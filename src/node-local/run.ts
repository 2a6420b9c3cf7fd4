import { aborted } from '../component/abort.ts';
import type { Logger } from '../component/log.ts';
import { apiOf } from '../dns/api.ts';
import { parseDnsConfig } from '../dns/config/fields.ts';
import type { ReadConfig } from '../dns/config/read.ts';
import { followConfig } from '../dns/reload.ts';
import { ReloadRequests } from '../dns/reload-requests.ts';
import { retire } from '../dns/run.ts';
import { DnsServer } from '../dns/server.ts';
import { bindSharedSocket } from '../kernel/bound-sockets.ts';
import type { Ip } from '../net/ip.ts';
import { Keeper } from './keeper.ts';
import { type NodeLocalNetwork, openNodeLocalNetwork } from './network.ts';
import { addressesOf, atNode, placesOf } from './places.ts';
import { hasMore, takePages, withoutPages } from './succession.ts';

/** What node-local DNS is told. */
export interface NodeLocalOptions {
  /** Reads the server's configuration, now and, if it is to be watched, whenever it may have changed. */
  readonly read: () => Promise<ReadConfig>;
  /** Where what listens everywhere listens instead; by default at 169.254.20.10. */
  readonly addresses?: readonly Ip[] | undefined;
  readonly log: Logger;
  /** Told once, when the names of the cluster are all known and served without connection tracking. */
  readonly onServing?: () => void;
}

/**
 * The DNS server of one node, until the signal aborts and its lameduck time is over: on addresses that only this node's
 * Pods and processes reach, and of which the kernel tracks no connection.
 *
 * What it has in the kernel goes when it ends, and stays when it is killed. One that finds a predecessor's takes it over;
 * if that one still serves, it joins it when its own zones are whole, so that there is always one that answers.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`, `KERNEL_REFUSED`, `ADDRESS_TAKEN`, `PORT_TAKEN`, `INVALID_CONFIG`, and
 *   those of `loadKubeconfig`
 */
export async function runNodeLocalDns(options: NodeLocalOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  const { config, digest } = await placed(options);
  const network = openNodeLocalNetwork();
  const isFirst = !network.exists();
  const requests = new ReloadRequests();
  const api = apiOf(config, log);
  try {
    network.addAddresses(addressesOf(config));
    const joins = !isFirst && hasMore(placesOf(config), 0);
    const beforeListening = async (whole: () => Promise<void>) => {
      if (joins) await Promise.race([whole(), aborted(signal)]);
      // One that saw nobody come has taken them away.
      network.addAddresses(addressesOf(config));
    };
    const first = joins ? withoutPages(config) : config;
    const server = await DnsServer.start({
      config: first,
      openClient: api.open,
      log,
      beforeListening,
      bind: bindSharedSocket,
    });
    const keeper = new Keeper(network, server, log);
    const read = async () => {
      const next = await placed(options);
      keeper.claim(addressesOf(next.config));
      return next;
    };
    const keeping = keeper.keep(options.onServing, signal);
    const following = (joins ? takePages(server, config, { log, signal }) : Promise.resolve()).then(() =>
      followConfig({ server, read, digest, log, signal, requests }),
    );
    await aborted(signal);
    await Promise.all([keeping, following]);
    await leave(server, network, log);
  } catch (error) {
    if (isFirst) withdraw([network.removeRules, network.removeDevice], log);
    throw error;
  } finally {
    network.close();
    requests.close();
    api.close();
  }
}

async function placed({ read, addresses }: NodeLocalOptions): Promise<ReadConfig> {
  const { config, digest } = await read();
  return { config: atNode(config, addresses), digest };
}

async function leave(server: DnsServer, network: NodeLocalNetwork, log: Logger): Promise<void> {
  const places = placesOf(server.config);
  // From here on a Service's address leads to its Pods again; one that nobody else has is served to the end.
  if (!hasMore(places, 1)) withdraw([network.removeRules], log);
  await retire(server, log);
  log.info('stopping');
  await server.close();
  if (hasMore(places, 0)) log.info('leaves its addresses to a successor');
  else withdraw([network.removeRules, network.removeDevice], log);
}

/** What cannot be taken away is no reason not to end. */
function withdraw(removals: readonly (() => readonly string[])[], log: Logger): void {
  try {
    const removed = removals.flatMap((remove) => remove());
    if (removed.length > 0) log.info({ removed }, 'withdraws from the node');
  } catch (err) {
    log.error({ err }, 'something stays on the node; remove it by `signalbox dns --node-local --cleanup`');
  }
}

/**
 * As `runNodeLocalDns`, within another component, by the fields of a configuration.
 * @throws SignalboxError as `runNodeLocalDns`
 */
export async function serveNodeLocalDns(
  fields: unknown,
  told: Pick<NodeLocalOptions, 'log' | 'onServing'>,
  signal: AbortSignal,
): Promise<void> {
  const config = parseDnsConfig(fields);
  await runNodeLocalDns({ ...told, read: async () => ({ config, digest: 'as started' }) }, signal);
}
