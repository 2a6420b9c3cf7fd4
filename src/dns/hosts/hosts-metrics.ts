import type { Gauge, MetricRegistry } from '../../component/metrics.ts';

/** The books of hosts files, under CoreDNS' names. */
export class HostsMetrics {
  readonly #entries: Gauge;
  readonly #reloaded: Gauge;

  constructor(registry: MetricRegistry) {
    this.#entries = registry.gauge({
      name: 'coredns_hosts_entries',
      help: 'Names and addresses of hosts files and of lines in the configuration.',
    });
    this.#reloaded = registry.gauge({
      name: 'coredns_hosts_reload_timestamp_seconds',
      help: 'When the hosts file last read was last changed.',
    });
  }

  /** Notes that so many more are known; less than zero for fewer. */
  addEntries(count: number): void {
    this.#entries.add(count);
  }

  /** Notes of when the file is that was read; in seconds since 1970. */
  noteReload(seconds: number): void {
    this.#reloaded.set(seconds);
  }
}
