import { tableName } from '../../backends/nftables/names.ts';
import type { Logger } from '../../component/log.ts';
import type { SignalboxError } from '../../errors/error.ts';
import type { NftablesKernel } from '../../kernel/nftables/interface.ts';
import { openNftables } from '../../kernel/nftables/table.ts';
import type { NodeFacts, ServicePort } from '../../model/types.ts';
import type { IpFamily } from '../../net/ip.ts';
import type { Backend, CheckResult, ServicePortUpdates, SyncResult } from '../backend.ts';
import { NftablesTable } from './table.ts';

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/**
 * The backend on the kernel of this network namespace, with tables of this name.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`
 */
export function openNftablesBackend(log: Logger, table: string = tableName): NftablesBackend {
  return new NftablesBackend(openNftables(table), log, table);
}

/** nftables mode: a table of the same shape for each family, in which only elements change. */
export class NftablesBackend implements Backend {
  readonly mode = 'nftables';
  readonly #kernel: NftablesKernel;
  readonly #log: Logger;
  readonly #tables: readonly NftablesTable[];

  constructor(kernel: NftablesKernel, log: Logger, table: string = tableName) {
    this.#kernel = kernel;
    this.#log = log;
    this.#tables = families.map((family) => new NftablesTable(kernel, family, table));
  }

  async prepare(node: NodeFacts): Promise<void> {
    for (const table of this.#tables) table.prepare(node);
  }

  async sync(node: NodeFacts, updates: ServicePortUpdates): Promise<SyncResult> {
    const expressible = this.#expressible(updates);
    return merge(this.#tables.map((table) => table.sync(node, expressible)));
  }

  async check(signal: AbortSignal): Promise<CheckResult> {
    const results: CheckResult[] = [];
    for (const table of this.#tables) results.push(await table.check(signal));
    return { ...merge(results), repaired: results.flatMap(({ repaired }) => repaired) };
  }

  async cleanup(): Promise<void> {
    for (const family of families) this.#kernel.remove(family);
  }

  close(): void {
    this.#kernel.close();
  }

  /**
   * What the rules do not say yet. Addresses that only some clients may reach are closed to all of them, as the other
   * way would open them to everybody.
   */
  #expressible(updates: ServicePortUpdates): ServicePortUpdates {
    return new Map([...updates].map(([name, port]) => [name, port && this.#expressiblePort(port)]));
  }

  #expressiblePort(port: ServicePort): ServicePort {
    const { name: servicePort } = port;
    if (port.affinitySeconds !== undefined) {
      this.#log.warn({ servicePort }, 'session affinity is not built yet; connections are spread over all endpoints');
    }
    if (port.frontends.every(({ sourceRanges }) => sourceRanges === undefined)) return port;
    this.#log.warn({ servicePort }, 'source ranges are not built yet; the load-balancer addresses are closed');
    return {
      ...port,
      frontends: port.frontends.map((frontend) =>
        frontend.sourceRanges === undefined ? frontend : { ...frontend, endpoints: [], whenEmpty: 'drop' },
      ),
    };
  }
}

function merge(results: readonly SyncResult[]): SyncResult {
  const refused = new Map<string, SignalboxError>();
  for (const result of results) for (const [name, error] of result.refused) refused.set(name, error);
  return { refused };
}
