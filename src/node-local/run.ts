import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { aborted } from '../component/abort.ts';
import { sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import { parseDnsConfig } from '../dns/config/fields.ts';
import type { ReadConfig } from '../dns/config/read.ts';
import { followConfig } from '../dns/reload.ts';
import { retire } from '../dns/run.ts';
import { DnsServer } from '../dns/server.ts';
import { isSignalboxError } from '../errors/error.ts';
import type { Ip } from '../net/ip.ts';
import { Keeper } from './keeper.ts';
import { type NodeLocalNetwork, openNodeLocalNetwork } from './network.ts';
import { addressesOf, atNode, placesOf } from './places.ts';
import { areFree, untilFree } from './succession.ts';

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

/** A successor that waits has taken the place well before this time is over. */
const successionMs = 200;

/**
 * The DNS server of one node, until the signal aborts and its lameduck time is over: on addresses that only this node's
 * Pods and processes reach, and of which the kernel tracks no connection.
 *
 * What it has in the kernel goes when it ends, and stays when it is killed. One that finds a predecessor's takes it over;
 * if that one still serves, it waits for it to go, with its own zones whole, and the addresses stay.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`, `KERNEL_REFUSED`, `ADDRESS_TAKEN`, `PORT_TAKEN`, `INVALID_CONFIG`, and
 *   those of `loadKubeconfig`
 */
export async function runNodeLocalDns(options: NodeLocalOptions, signal: AbortSignal): Promise<void> {
  const { log } = options;
  const { config, digest } = await placed(options);
  const network = openNodeLocalNetwork();
  const isFirst = !network.exists();
  const client = connect({ ...(await loadKubeconfig(config.kubeconfig)), component: 'signalbox-dns' }, { log });
  try {
    network.addAddresses(addressesOf(config));
    const beforeListening = async () => {
      if (!isFirst) await untilFree({ network, config, log, signal });
    };
    const server = await DnsServer.start({ config, client, log, beforeListening });
    const keeper = new Keeper(network, server, log);
    const read = async () => {
      const next = await placed(options);
      keeper.claim(addressesOf(next.config));
      return next;
    };
    const keeping = keeper.keep(options.onServing, signal);
    const following = followConfig({ server, read, digest, log, signal });
    await aborted(signal);
    await Promise.all([keeping, following]);
    await leave(server, network, log);
  } catch (error) {
    // It was told to end before its predecessor did.
    if (signal.aborted && isSignalboxError(error, 'PORT_TAKEN')) return;
    if (isFirst) withdraw([network.removeRules, network.removeDevice], log);
    throw error;
  } finally {
    network.close();
    client.close();
  }
}

async function placed({ read, addresses }: NodeLocalOptions): Promise<ReadConfig> {
  const { config, digest } = await read();
  return { config: atNode(config, addresses), digest };
}

async function leave(server: DnsServer, network: NodeLocalNetwork, log: Logger): Promise<void> {
  // From here on a Service's address leads to its Pods again; one that nobody else has is served to the end.
  withdraw([network.removeRules], log);
  await retire(server, log);
  log.info('stopping');
  await server.close();
  await sleep(successionMs);
  if (await areFree(placesOf(server.config))) withdraw([network.removeRules, network.removeDevice], log);
  else log.info('leaves its addresses to a successor');
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
