import { SignalboxError } from '../../errors/error.ts';
import type { IpFamily } from '../../net/ip.ts';
import { deletion } from '../../rules/nftables/diff.ts';
import type { Element, Program, TableName, Transaction } from '../../rules/nftables/syntax.ts';
import { errnoNumber, isKernelError, KernelError } from '../ffi.ts';
import type { MessageBatch } from '../netlink/message.ts';
import { type NetlinkOptions, type NetlinkSocket, openNetlink } from '../netlink/socket.ts';
import { encodeTransaction, expectGeneration } from './batch.ts';
import { type ElementLayout, elementLayout } from './fields.ts';
import type { NftablesKernel, Verdict } from './interface.ts';
import { loadProgram, loadSets, readGeneration, tableExists } from './load.ts';
import { verifyTable } from './verify.ts';

/** A larger batch would save no time, and be held in memory twice. */
const largestBatch = 8 << 20;

/** How often a change is sent on condition that nobody else was quicker, before it is sent without one. */
const conditionalTries = 3;

/**
 * Opens the way to nf_tables of the current network namespace, for the table of one name in both families.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`
 */
export function openNftables(table: string, options: Pick<NetlinkOptions, 'sendBuffer'> = {}): NftablesKernel {
  let socket: NetlinkSocket | undefined;
  try {
    socket = openNetlink('netfilter', options);
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

/** 0 is left out when the number begins anew. */
function nextGeneration(generation: number): number {
  return (generation + 1) >>> 0 || 1;
}

class KernelTables implements NftablesKernel {
  readonly #socket: NetlinkSocket;
  readonly #table: string;
  /** Layouts of the sets by `family set`: what is known of the kernel's tables, to spare a question for each change. */
  readonly #layouts = new Map<string, ElementLayout>();

  /** The generation after what was last read or committed here, and how often it was not the one expected. */
  #generation: number;
  #foreignChanges = 0;

  constructor(socket: NetlinkSocket, table: string) {
    this.#socket = socket;
    this.#table = table;
    this.#generation = readGeneration(socket);
  }

  has(family: IpFamily): boolean {
    return this.#guarded(this.#name(family), (name) => tableExists(this.#socket, name));
  }

  *verify(program: Program, groups: Iterable<readonly Element[]>): Generator<undefined, Verdict, undefined> {
    try {
      return yield* verifyTable(openNetlink('netfilter'), program, groups);
    } catch (error) {
      throw asRefusal(program, error);
    }
  }

  foreignChanges(): number {
    const generation = readGeneration(this.#socket);
    if (generation !== this.#generation) this.#foreignChanges++;
    this.#generation = generation;
    return this.#foreignChanges;
  }

  load(family: IpFamily): Program | undefined {
    return this.#guarded(this.#name(family), (name) => loadProgram(this.#socket, name));
  }

  apply(transaction: Transaction): void {
    this.#guarded(transaction, () => {
      this.#learnLayouts(transaction);
      const layoutOf = (set: string) => this.#layoutOf(transaction, set);
      const maxBytes = Math.min(this.#socket.maxMessageBytes, largestBatch);
      for (const batch of encodeTransaction(transaction, { layoutOf, maxBytes })) this.#commit(batch);
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

  /**
   * Commits on condition that the generation is the one that is known. So the next one is known to be made of nothing
   * but this, and a change of somebody else's cannot be taken for ours.
   */
  #commit(batch: MessageBatch): void {
    for (let tries = conditionalTries; ; tries--) {
      expectGeneration(batch, tries > 0 ? this.#generation : 0);
      try {
        this.#socket.transact(batch);
        if (tries > 0) this.#generation = nextGeneration(this.#generation);
        else this.foreignChanges();
        return;
      } catch (error) {
        if (!isKernelError(error, 'ERESTART')) throw error;
        this.foreignChanges();
      }
    }
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

  #guarded<T>(name: TableName, run: (name: TableName) => T): T {
    try {
      return run(name);
    } catch (error) {
      // Whatever is known may be what was wrong.
      this.#layouts.clear();
      throw asRefusal(name, error);
    }
  }
}

/** What the kernel refuses is the user's to see: with the table's name. */
/** What expressions of our rules are in, beside nf_tables itself. */
const modules = 'nft_chain_nat nft_ct nft_fib_inet nft_masq nft_nat nft_numgen nft_reject_inet';
const lacking = `see whether the kernel has what the rules need (as root: modprobe -a ${modules}), and whether something else changes this table`;
const remedies: { readonly [code: string]: string } = {
  EPERM: 'run with CAP_NET_ADMIN',
  // Of an expression that there is no module for, and of a chain or set that somebody has removed.
  ENOENT: lacking,
  EOPNOTSUPP: lacking,
};

function asRefusal(name: TableName, error: unknown): unknown {
  if (!isKernelError(error)) return error;
  return new SignalboxError('KERNEL_REFUSED', {
    object: `nftables table ${name.family} ${name.table}`,
    problem: `was refused by the kernel: ${error.message}`,
    remedy: remedies[error.code] ?? 'see whether something else changes this table',
    cause: error,
  });
}
