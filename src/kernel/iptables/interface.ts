import type { IpFamily } from '../../net/ip.ts';
import type { ChainTexts } from '../../rules/iptables/diff.ts';
import type { Command, Restore, TableName } from '../../rules/iptables/syntax.ts';

/** Which of the two tools goes by the name of iptables: what one writes, the other does not see. */
export type IptablesVariant = 'legacy' | 'nft';

/**
 * The one way by which rules of iptables come into the kernel. The real tool and the fake both are one. Every call
 * waits some seconds for the lock of xtables, and no longer.
 * @throws SignalboxError `IPTABLES_LOCKED` when somebody else has the lock; `IPTABLES_FAILED`
 */
export interface Iptables {
  readonly variant: IptablesVariant;
  /** The chains of a table with their rules as the tool lists them; none if there is no such table. */
  list(family: IpFamily, table: TableName): Promise<ChainTexts>;
  /** Whether a table has a chain; takes no longer for a table of many. */
  has(family: IpFamily, table: TableName, chain: string): Promise<boolean>;
  /**
   * Carries commands out. Each table's happen all or none, and no packet sees a middle.
   * @throws SignalboxError `IPTABLES_FAILED`, with a `Refusal` as its cause when the input is what is wrong
   */
  restore(family: IpFamily, input: Restore): Promise<void>;
  /** Ends what still runs or waits. */
  close(): void;
}

/** The tool or the kernel does not take what was asked for. */
export class Refusal extends Error {
  /** What was refused, where that was told. */
  readonly at: { readonly table: TableName; readonly command: Command } | undefined;

  constructor(message: string, at: Refusal['at']) {
    super(message);
    this.name = 'Refusal';
    this.at = at;
  }
}
