import type { EndpointSlice, Node, Service } from '../api/generated/types.ts';
import type { Ip } from '../net/ip.ts';

/** Who is told of the objects that concern one node's proxy. `undefined`: the object is gone. */
export interface EventSink {
  service(key: string, service: Service | undefined): void;
  endpointSlice(key: string, slice: EndpointSlice | undefined): void;
  /** The node's own object. */
  node(node: Node | undefined): void;
  /** Addresses of another node, where the source follows all of them. */
  peer(name: string, addresses: readonly Ip[] | undefined): void;
}

/** Events on their way. */
interface EventStream {
  /** Resolves when the whole present state of all three kinds has been told; rejects when stopped before. */
  readonly synced: Promise<void>;
  stop(): void;
}

/**
 * Where the proxy hears of objects: begins to tell the sink, the present state first, then every change, those of one
 * object in order. Neither side needs to keep the objects.
 */
export type EventSource = (sink: EventSink) => EventStream;
