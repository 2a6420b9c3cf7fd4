import type { Logger } from '../component/log.ts';
import { readSysctl } from '../kernel/sysctl.ts';
import type { ProxyEvents } from './proxy-events.ts';

/** How full connection tracking is in this network namespace. */
export interface ConntrackUsage {
  readonly entries: number;
  /** What the kernel allows; it drops the packets of every connection beyond. */
  readonly limit: number;
}

/** Asks the kernel; zeros where it does not say, as in a container that hides `/proc/sys`. */
export function conntrackUsage(): ConntrackUsage {
  try {
    const read = (name: string) => Number(readSysctl(`net.netfilter.nf_conntrack_${name}`));
    return { entries: read('count'), limit: read('max') };
  } catch {
    return { entries: 0, limit: 0 };
  }
}

/** What the watch works with. */
export interface ConntrackWatchOptions {
  readonly usage: () => ConntrackUsage;
  readonly log: Logger;
  readonly events: Pick<ProxyEvents, 'noticed'>;
}

const nearlyFull = 0.95;
const roomAgain = 0.8;

/**
 * Tells when connection tracking is nearly full, and when there is room again: the kernel then drops new connections to
 * Services, and nothing but a line of its own log says why.
 */
export class ConntrackWatch {
  readonly #options: ConntrackWatchOptions;
  #isFull = false;

  constructor(options: ConntrackWatchOptions) {
    this.#options = options;
  }

  /** To be called from time to time. */
  look(): void {
    const { usage, log, events } = this.#options;
    const { entries, limit } = usage();
    const part = limit === 0 ? 0 : entries / limit;
    if (!this.#isFull && part >= nearlyFull) {
      this.#isFull = true;
      const message = `Connection tracking has ${entries} of ${limit} entries: new connections will be dropped. Raise net.netfilter.nf_conntrack_max (conntrack.maxPerCore of the proxy's configuration).`;
      log.warn({ entries, limit }, message);
      events.noticed({ reason: 'ConntrackNearlyFull', message });
    } else if (this.#isFull && part < roomAgain) {
      this.#isFull = false;
      log.info({ entries, limit }, 'connection tracking has room again');
    }
  }
}
