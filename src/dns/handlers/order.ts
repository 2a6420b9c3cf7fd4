import type { Exchange } from '../exchange.ts';
import type { ServedZone } from '../served-zone.ts';

/** One of those who may answer the queries of a server block. */
export interface Handler {
  /**
   * Replies through the exchange, before it returns or later, and says `true`; or says `false` when the name is
   * somebody else's, and has not touched the exchange.
   */
  handle(exchange: Exchange): boolean;
}

/**
 * Who is asked for a name in a server block, in this order, until one takes it; the order in the file means nothing.
 * It is CoreDNS' own: a transfer is no question for a name, names in a hosts file win over the cluster's, and other
 * servers are asked last.
 */
const handlerOrder = ['transfer', 'hosts', 'kubernetes', 'forward'] as const;

/** The handlers of a block by what they are; there may be several of a kind. */
export type HandlersByKind = { readonly [K in (typeof handlerOrder)[number]]?: readonly Handler[] };

/** The handlers of a block in their order. */
export function inOrder(handlers: HandlersByKind): Handler[] {
  return handlerOrder.flatMap((kind) => handlers[kind] ?? []);
}

/** What a server block does at one listening address. */
export interface ServedBlock {
  /** At least one; no zone is in two blocks of an address. */
  readonly zones: readonly ServedZone[];
  /** Who is asked, in this order. */
  readonly handlers: readonly Handler[];
}
