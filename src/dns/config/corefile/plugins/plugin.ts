import type { Name } from '../../../wire/name.ts';
import type { DnsConfig, ServerBlock } from '../../types.ts';
import type { Directive } from '../parse.ts';

/** The same, to be filled. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] };

/** What a plugin's reader may set. */
export interface Drafts {
  readonly block: Draft<ServerBlock>;
  /** What holds for the whole server; blocks that say it differently are refused by whoever reads the second. */
  readonly server: Draft<DnsConfig>;
  /** The zones of the block: what a plugin is about that names none. */
  readonly zones: readonly Name[];
  /** Sizes that `bufsize` gave: there may be one for all blocks. */
  readonly maxUdpSizes: Set<number>;
}

/** A plugin as the Corefile has it. */
export interface Plugin {
  /**
   * Reads its directive.
   * @throws SignalboxError `INVALID_CONFIG` for anything that would not be honoured, by name and line
   */
  readonly read: (directive: Directive, drafts: Drafts) => void;
  /** Whether a block may have it more than once. */
  readonly repeats?: boolean;
}
