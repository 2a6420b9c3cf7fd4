import type { ProxyMode } from '../proxy/proxy-mode.ts';
import type { PlannedComponent } from './component-specs.ts';
import type { Component, ComponentSpec } from './components.ts';
import { type ClusterPaths, readRecord, writeRecord } from './state.ts';

/** What moves the proxies of a cluster to another mode. */
export interface ProxyModeSwitchOptions {
  readonly paths: ClusterPaths;
  /** The mode they are in. */
  readonly mode: ProxyMode;
  readonly components: readonly Component[];
  /** The proxies of all nodes, in a mode. */
  readonly planFor: (mode: ProxyMode) => readonly PlannedComponent[];
  /** Writes what a component is told, and gives how to start it. */
  readonly prepare: (planned: PlannedComponent) => Promise<ComponentSpec>;
  /** Throws when this machine cannot do what a mode needs. */
  readonly requireMode: (mode: ProxyMode) => void;
}

/** A proxy has to hear of all Services and write them; with 10,000 of them in a slow mode that takes a while. */
const timing = { readyMs: 90_000, graceMs: 5_000 };

/**
 * Moves a running cluster to another proxy mode, node by node. On each node the proxy of the new mode is started beside
 * the old one, which ends when the new one has its rules in the kernel: there is always one that serves.
 */
export class ProxyModeSwitch {
  readonly #options: ProxyModeSwitchOptions;
  #mode: ProxyMode;

  constructor(options: ProxyModeSwitchOptions) {
    this.#options = options;
    this.#mode = options.mode;
  }

  /**
   * Moves all nodes, and notes the mode in the cluster's record. If one cannot be moved, those that were go back.
   * @throws SignalboxError `KERNEL_LACKS_NFTABLES` or `KERNEL_LACKS_FEATURE` before anything is done;
   *   `COMPONENT_NOT_READY`, and what a proxy says of itself
   */
  async change(mode: ProxyMode, onNode: (node: string) => void): Promise<void> {
    this.#options.requireMode(mode);
    const before = this.#options.planFor(this.#mode);
    const moved: PlannedComponent[] = [];
    for (const [index, planned] of this.#options.planFor(mode).entries()) {
      const previous = before[index];
      if (previous === undefined) continue;
      try {
        await this.#replace(planned);
      } catch (error) {
        // The file it was told with is the old one's again, too: that one still runs.
        await this.#options.prepare(previous);
        for (const back of moved.reverse()) await this.#replace(back);
        throw error;
      }
      moved.push(previous);
      onNode(planned.name.replace(/-proxy$/, ''));
    }
    this.#mode = mode;
    const record = readRecord(this.#options.paths);
    if (record !== undefined) writeRecord(this.#options.paths, { ...record, proxyMode: mode });
  }

  async #replace(planned: PlannedComponent): Promise<void> {
    const component = this.#options.components.find(({ name }) => name === planned.name);
    await component?.replace(await this.#options.prepare(planned), timing);
  }
}
