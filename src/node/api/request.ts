import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** What a request is about, from its path: `/exec/NAMESPACE/POD/CONTAINER?…`. */
export interface NodeApiRequest {
  readonly action: string;
  readonly namespace: string;
  readonly pod: string;
  readonly container: string;
  readonly query: URLSearchParams;
}

/** A connection that is to become another kind of connection. */
export interface Upgrade {
  readonly request: IncomingMessage;
  readonly socket: Duplex;
  readonly head: Buffer;
  /** Whether it is to be SPDY, not WebSocket. */
  readonly isSpdy: boolean;
}
