import type { Ip } from '../net/ip.ts';
import type { RelayTarget } from './relay.ts';

/** The most clients of one Service port that are remembered; the one that was away longest is forgotten first. */
const rememberedClients = 65_536;

/** Which endpoint each client of a Service port is to stay with. Its relays share it. */
export class StickyClients {
  readonly #seconds: number;
  readonly #now: () => number;
  /** In the order of last use. */
  readonly #clients = new Map<Ip, { readonly endpoint: string; readonly until: number }>();

  /** @param now the time in milliseconds, by any clock that only goes forward */
  constructor(seconds: number, now: () => number) {
    this.#seconds = seconds;
    this.#now = now;
  }

  get seconds(): number {
    return this.#seconds;
  }

  /** The endpoint's key, if the client was here within the time-out. */
  endpointOf(client: Ip): string | undefined {
    const known = this.#clients.get(client);
    return known !== undefined && known.until > this.#now() ? known.endpoint : undefined;
  }

  /** Notes a new connection of the client; the time-out begins anew. */
  note(client: Ip, endpoint: string): void {
    this.#clients.delete(client);
    this.#clients.set(client, { endpoint, until: this.#now() + this.#seconds * 1000 });
    for (const [longestAway] of this.#clients) {
      if (this.#clients.size <= rememberedClients) break;
      this.#clients.delete(longestAway);
    }
  }
}

/** Takes the endpoints of one relay in turn. */
export class Balancer {
  #endpoints: readonly RelayTarget[] = [];
  /** Made when first asked for: only datagrams ask. */
  #keys: ReadonlySet<string> | undefined;
  #sticky: StickyClients | undefined;
  #next = 0;

  /** New connections go to these from now on. */
  update(endpoints: readonly RelayTarget[], sticky: StickyClients | undefined): void {
    this.#endpoints = endpoints;
    this.#keys = undefined;
    this.#sticky = sticky;
  }

  /** How many endpoints there are. */
  get size(): number {
    return this.#endpoints.length;
  }

  /** Whether new connections may go there. */
  has(endpoint: RelayTarget): boolean {
    this.#keys ??= new Set(this.#endpoints.map(endpointKey));
    return this.#keys.has(endpointKey(endpoint));
  }

  /**
   * The endpoints to try for a client, each once: the one it is to stay with, then the others in turn. The turn goes
   * on only as far as they are taken. Who is to stay is noted before the endpoint answers, so that connections that one
   * client opens at the same time go to the same one.
   */
  *candidates(client: Ip): Generator<RelayTarget, void> {
    const endpoints = this.#endpoints;
    const offered = new Set<RelayTarget>();
    for (let count = 0; count < endpoints.length; count++) {
      const next = this.#keptOf(client, endpoints, offered) ?? this.#nextOf(endpoints, offered);
      if (next === undefined) return;
      offered.add(next);
      this.#sticky?.note(client, endpointKey(next));
      yield next;
    }
  }

  /** Where the client is to stay, as another of its connections may have found just now. */
  #keptOf(client: Ip, endpoints: readonly RelayTarget[], offered: ReadonlySet<RelayTarget>): RelayTarget | undefined {
    const key = this.#sticky?.endpointOf(client);
    if (key === undefined) return undefined;
    return endpoints.find((endpoint) => !offered.has(endpoint) && endpointKey(endpoint) === key);
  }

  #nextOf(endpoints: readonly RelayTarget[], offered: ReadonlySet<RelayTarget>): RelayTarget | undefined {
    for (let i = 0; i < endpoints.length; i++) {
      const endpoint = endpoints[this.#next++ % endpoints.length];
      if (endpoint !== undefined && !offered.has(endpoint)) return endpoint;
    }
    return undefined;
  }

  /** To be told when an endpoint has taken a client. */
  taken(client: Ip, endpoint: RelayTarget): void {
    this.#sticky?.note(client, endpointKey(endpoint));
  }
}

function endpointKey({ ip, port }: RelayTarget): string {
  return `${ip} ${port}`;
}
