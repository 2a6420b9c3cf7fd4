import type { IpFamily } from '../../net/ip.ts';
import type { Program, Transaction } from '../../rules/nftables/syntax.ts';

/** The one way by which tables come into the kernel. The real kernel and the fake both are one. */
export interface NftablesKernel {
  /** Our table of a family as it stands now, or `undefined` if there is none. */
  load(family: IpFamily): Program | undefined;
  /**
   * Carries a transaction out. What fits in one netlink batch happens entirely or not at all, and no packet sees a
   * middle. A larger one goes in several batches, commands first, and each of its units is within one batch.
   * @throws SignalboxError `NFTABLES_REFUSED` when the kernel refuses; of that batch nothing happened
   */
  apply(transaction: Transaction): void;
  /** Deletes our table of a family, if there is one. */
  remove(family: IpFamily): void;
  close(): void;
}
