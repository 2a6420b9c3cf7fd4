import { SignalboxError } from '../../errors/error.ts';
import type { IpFamily } from '../../net/ip.ts';
import { deletion } from '../../rules/nftables/diff.ts';
import type { Program, TableName, Transaction } from '../../rules/nftables/syntax.ts';
import { errnoNumber, isKernelError, KernelError } from '../ffi.ts';
import { encodePayload } from '../netlink/attributes.ts';
import { type NetlinkSocket, openNetlink } from '../netlink/socket.ts';
import { encodeTransaction, nfnetlinkHeader } from './batch.ts';
import { NFPROTO_UNSPEC, nftMessage } from './constants.ts';
import { type ElementLayout, elementLayout } from './fields.ts';
import type { NftablesKernel } from './interface.ts';
import { loadProgram, loadSets, tableExists } from './load.ts';

/** A larger batch would save no time, and be held in memory twice. */
const largestBatch = 8 << 20;

/**
 * Opens the way to nf_tables of the current network namespace, for the table of one name in both families.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`
 */
export function openNftables(table: string): NftablesKernel {
  let socket: NetlinkSocket | undefined;
  try {
    socket = openNetlink('netfilter');
    socket.request({
      type: nftMessage.GETGEN,
      flags: 0,
      payload: encodePayload(nfnetlinkHeader(NFPROTO_UNSPEC), []),
      operation: 'ask for the nf_tables generation',
    });
    return new KernelTables(socket, table);
  } catch (error) {
    socket?.close();
    if (!isKernelError(error, 'EPROTONOSUPPORT', 'EAFNOSUPPORT', 'EINVAL', 'EOPNOTSUPP')) throw error;
    throw new SignalboxError('KERNEL_LACKS_NFTABLES', {
      object: 'the kernel',
      problem: 'has no nf_tables',
      remedy: 'load it with `modprobe nf_tables`, or choose another proxy mode',
      cause: error,
    });
  }
}

class KernelTables implements NftablesKernel {
  readonly #socket: NetlinkSocket;
  readonly #table: string;
  /** Layouts of the sets by `family set`: what is known of the kernel's tables, to spare a question for each change. */
  readonly #layouts = new Map<string, ElementLayout>();

  constructor(socket: NetlinkSocket, table: string) {
    this.#socket = socket;
    this.#table = table;
  }

  load(family: IpFamily): Program | undefined {
    return this.#guarded(this.#name(family), (name) => loadProgram(this.#socket, name));
  }

  apply(transaction: Transaction): void {
    this.#guarded(transaction, () => {
      this.#learnLayouts(transaction);
      const layoutOf = (set: string) => this.#layoutOf(transaction, set);
      const maxBytes = Math.min(this.#socket.maxMessageBytes, largestBatch);
      for (const batch of encodeTransaction(transaction, { layoutOf, maxBytes })) this.#socket.transact(batch);
    });
  }

  remove(family: IpFamily): void {
    const name = this.#name(family);
    this.#layouts.clear();
    if (tableExists(this.#socket, name)) this.apply(deletion(name));
  }

  close(): void {
    this.#socket.close();
  }

  #name(family: IpFamily): TableName {
    return { family: family === 'IPv4' ? 'ip' : 'ip6', table: this.#table };
  }

  #learnLayouts({ family, commands }: Transaction): void {
    for (const command of commands) {
      if (command.verb === 'delete') this.#layouts.clear();
      else if (command.object === 'set') this.#layouts.set(`${family} ${command.set.name}`, elementLayout(command.set));
    }
  }

  #layoutOf(name: TableName, set: string): ElementLayout {
    const key = `${name.family} ${set}`;
    const known = this.#layouts.get(key);
    if (known !== undefined) return known;
    for (const declared of loadSets(this.#socket, name)) {
      // A set that this transaction makes anew is known already, and is not what the kernel has yet.
      const declaredKey = `${name.family} ${declared.name}`;
      if (!this.#layouts.has(declaredKey)) this.#layouts.set(declaredKey, elementLayout(declared));
    }
    const found = this.#layouts.get(key);
    if (found === undefined)
      throw new KernelError(`change elements of ${set}`, errnoNumber.ENOENT, 'there is no such set');
    return found;
  }

  /** What the kernel refuses is the user's to see: with the table's name. */
  #guarded<T>(name: TableName, run: (name: TableName) => T): T {
    try {
      return run(name);
    } catch (error) {
      // Whatever is known may be what was wrong.
      this.#layouts.clear();
      if (!isKernelError(error)) throw error;
      throw new SignalboxError('KERNEL_REFUSED', {
        object: `nftables table ${name.family} ${name.table}`,
        problem: `was refused by the kernel: ${error.message}`,
        remedy: error.code === 'EPERM' ? 'run with CAP_NET_ADMIN' : 'see whether something else changes this table',
        cause: error,
      });
    }
  }
}
