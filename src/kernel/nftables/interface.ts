import type { IpFamily } from '../../net/ip.ts';
import type { Element, Program, Transaction } from '../../rules/nftables/syntax.ts';

/** What came of a comparison; `interrupted`: somebody changed a table while it was read. */
export type Verdict = 'same' | 'different' | 'interrupted';

/** The one way by which tables come into the kernel. The real kernel and the fake both are one. */
export interface NftablesKernel {
  /** Whether there is a table of ours of this family. */
  has(family: IpFamily): boolean;
  /** Our table of a family as it stands now, or `undefined` if there is none. */
  load(family: IpFamily): Program | undefined;
  /**
   * Whether our table is exactly this program with these further groups of elements. Nothing is kept of what is read.
   * Goes in steps of about a millisecond, between which the caller may do anything but change what is compared, and
   * may give up.
   */
  verify(program: Program, groups: Iterable<readonly Element[]>): Generator<undefined, Verdict, undefined>;
  /**
   * A number that is another one whenever anybody else has changed a table of this network namespace, ours or not,
   * since it was last asked for. Changes by `apply` and `remove` leave it as it is.
   */
  foreignChanges(): number;
  /**
   * Carries a transaction out. What fits in one netlink batch happens entirely or not at all, and no packet sees a
   * middle. A larger one goes in several batches, commands first, and each of its units is within one batch.
   * @throws SignalboxError `KERNEL_REFUSED` when the kernel refuses; of that batch nothing happened
   */
  apply(transaction: Transaction): void;
  /** Deletes our table of a family, if there is one. */
  remove(family: IpFamily): void;
  close(): void;
}
