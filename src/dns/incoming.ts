import type { Client } from './metrics.ts';
import type { Query } from './wire/query.ts';

/** A query as it came, and the way back. */
export interface Incoming {
  /** Where an answer comes later, a copy: the transport uses its memory for the next. */
  readonly packet: Buffer;
  readonly query: Query;
  readonly client: Client;
  /** Takes the reply, which is valid during the call only. */
  readonly send: (reply: Buffer) => void;
}
