import { tableName } from '../../backends/nftables/names.ts';
import type { NftablesKernel } from '../../kernel/nftables/interface.ts';
import { removeTables } from '../../kernel/nftables/remove-tables.ts';
import { openNftables } from '../../kernel/nftables/table.ts';
import type { NodeFacts } from '../../model/types.ts';
import type { IpFamily } from '../../net/ip.ts';
import { type Backend, type CheckResult, refusedIn, type ServicePortUpdates, type SyncResult } from '../backend.ts';
import { NftablesTable } from './table.ts';

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/**
 * The backend on the kernel of this network namespace, with tables of this name.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`
 */
export function openNftablesBackend(table: string = tableName): NftablesBackend {
  return new NftablesBackend(openNftables(table), table);
}

/** nftables mode: a table of the same shape for each family, in which only elements change. */
export class NftablesBackend implements Backend {
  readonly mode = 'nftables';
  readonly #kernel: NftablesKernel;
  readonly #tables: readonly NftablesTable[];
  readonly #name: string;

  constructor(kernel: NftablesKernel, table: string = tableName) {
    this.#kernel = kernel;
    this.#name = table;
    this.#tables = families.map((family) => new NftablesTable(kernel, family, table));
  }

  async prepare(node: NodeFacts): Promise<void> {
    for (const table of this.#tables) table.prepare(node);
  }

  async sync(node: NodeFacts, updates: ServicePortUpdates): Promise<SyncResult> {
    return { refused: refusedIn(this.#tables.map((table) => table.sync(node, updates))) };
  }

  async check(signal: AbortSignal): Promise<CheckResult> {
    const results: CheckResult[] = [];
    for (const table of this.#tables) results.push(await table.check(signal));
    return { refused: refusedIn(results), repaired: results.flatMap(({ repaired }) => repaired) };
  }

  async cleanup(): Promise<readonly string[]> {
    return removeTables(this.#kernel, this.#name);
  }

  close(): void {
    this.#kernel.close();
  }
}
