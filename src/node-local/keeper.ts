import { aborted } from '../component/abort.ts';
import { sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import type { Counter, Family } from '../component/metrics.ts';
import type { DnsServer } from '../dns/server.ts';
import type { Ip } from '../net/ip.ts';
import type { NodeLocalNetwork } from './network.ts';
import { addressesOf, placesOf } from './places.ts';

/** How often it is looked whether addresses and rules are still there. */
const checkEveryMs = 5_000;
const lookAgainMs = 50;

/** Keeps addresses and rules as the configuration of a server that runs wants them. */
export class Keeper {
  readonly #network: NodeLocalNetwork;
  readonly #server: DnsServer;
  readonly #log: Logger;
  readonly #failures: Family<Counter>;
  /** Addresses of the configuration that was read last, which the server may be about to listen at. */
  #claimed: ReadonlySet<Ip> = new Set();

  constructor(network: NodeLocalNetwork, server: DnsServer, log: Logger) {
    this.#network = network;
    this.#server = server;
    this.#log = log;
    this.#failures = server.metrics.registry.counters({
      name: 'coredns_nodecache_setup_errors_total',
      help: 'How often addresses or rules of the node could not be kept as they should be.',
      labels: ['errortype'],
    });
  }

  /**
   * Has the device have these addresses, before anybody listens there.
   * @throws SignalboxError as `addAddresses`
   */
  claim(ips: ReadonlySet<Ip>): void {
    this.#network.addAddresses(ips);
    this.#claimed = ips;
  }

  /**
   * Puts the rules in when the zones are whole, and tells of it: until then a Service's address still leads to its Pods.
   * Then puts right what others change, until the signal aborts.
   */
  async keep(onServing: (() => void) | undefined, signal: AbortSignal): Promise<void> {
    while (!(await this.#isWhole(signal))) {
      if (signal.aborted) return;
      await sleep(lookAgainMs, signal);
    }
    this.#checkAddresses();
    this.#checkRules();
    onServing?.();
    while (!signal.aborted) {
      await sleep(checkEveryMs, signal);
      if (signal.aborted) return;
      this.#checkAddresses();
      this.#checkRules();
    }
  }

  /** Resolves with false when the configuration has changed before they were, so that others are to be waited for. */
  #isWhole(signal: AbortSignal): Promise<boolean> {
    const isSynced = this.#server.synced.then(
      () => true,
      () => false,
    );
    return Promise.race([isSynced, aborted(signal).then(() => false)]);
  }

  #checkAddresses(): void {
    this.#attempt('interface_add', () => {
      const wanted = addressesOf(this.#server.config);
      const made = this.#network.addAddresses(wanted);
      if (made.length > 0) this.#log.warn({ made }, 'addresses had gone, and are there again');
      this.#network.keepAddresses(new Set([...wanted, ...this.#claimed]));
    });
  }

  #checkRules(): void {
    this.#attempt('nftables', () => {
      const places = placesOf(this.#server.config);
      const changed = this.#network.setRules(places);
      if (changed.length > 0) this.#log.info({ changed, places }, 'kept out of connection tracking');
    });
  }

  #attempt(errortype: string, work: () => void): void {
    try {
      work();
    } catch (err) {
      this.#failures.of(errortype).add();
      this.#log.error({ err }, 'addresses or rules are not as they should be');
    }
  }
}
