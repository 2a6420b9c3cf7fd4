import type { Logger } from '../component/log.ts';
import type { NftablesKernel } from '../kernel/nftables/interface.ts';
import { removeTables } from '../kernel/nftables/remove-tables.ts';
import { openNftables } from '../kernel/nftables/table.ts';
import { isLacking } from './leftovers.ts';
import type { ProxyEvents } from './proxy-events.ts';

/** What kube-proxy calls its tables of nftables mode; no mode of ours has one of that name. */
const tableName = 'kube-proxy';

/**
 * Removes what kube-proxy left in its nftables mode in this network namespace, and gives what that was. Its rules come
 * before ours where they are older, and lead to endpoints long gone.
 * @throws SignalboxError `KERNEL_REFUSED`
 */
export async function removeKubeProxyTables(): Promise<readonly string[]> {
  try {
    return withTables((kernel) => removeTables(kernel, tableName));
  } catch (error) {
    if (isLacking(error)) return [];
    throw error;
  }
}

/** Tells when there is such a table, after what was left is removed: then a kube-proxy works on this node, too. */
export class KubeProxyWatch {
  readonly #options: { readonly log: Logger; readonly events: Pick<ProxyEvents, 'noticed'> };
  #isThere = false;

  constructor(options: { readonly log: Logger; readonly events: Pick<ProxyEvents, 'noticed'> }) {
    this.#options = options;
  }

  /** To be called from time to time. */
  look(): void {
    const { log, events } = this.#options;
    try {
      const isThere = hasTables();
      if (isThere && !this.#isThere) {
        log.warn({ table: tableName }, running);
        events.noticed({ reason: 'KubeProxyRunning', message: running });
      }
      this.#isThere = isThere;
    } catch (err) {
      if (!isLacking(err)) log.debug({ err }, 'could not look for the tables of kube-proxy');
    }
  }
}

const running =
  'A kube-proxy works on this node, too: its nftables table kube-proxy has come back, and connections may go by its rules. Keep it off the node.';

function hasTables(): boolean {
  return withTables((kernel) => kernel.has('IPv4') || kernel.has('IPv6'));
}

function withTables<T>(use: (kernel: NftablesKernel) => T): T {
  const kernel = openNftables(tableName);
  try {
    return use(kernel);
  } finally {
    kernel.close();
  }
}
