import { SignalboxError } from '../errors/error.ts';

/** The servers of one API, of which one is in use until it is left for the next. */
export class ServerList {
  readonly #servers: readonly [URL, ...URL[]];
  #current: number;

  /**
   * Begins with a random one, so that clients of the same list spread.
   * @throws SignalboxError `INVALID_KUBECONFIG`
   */
  constructor(first: string, others: readonly string[] = []) {
    this.#servers = [parseServer(first), ...others.map(parseServer)];
    const odd = this.#servers.find(({ protocol }) => protocol !== this.#servers[0].protocol);
    if (odd !== undefined) throw invalid(odd.href, 'is not reached as the others of its list are', 'use https for all');
    this.#current = Math.floor(Math.random() * this.#servers.length);
  }

  get size(): number {
    return this.#servers.length;
  }

  /** The one in use. */
  get current(): URL {
    return this.#servers[this.#current] ?? this.#servers[0];
  }

  /** Turns to the next, unless another request has left this one already; gives the one in use then. */
  leave(server: URL): URL {
    if (this.current === server) this.#current = (this.#current + 1) % this.#servers.length;
    return this.current;
  }
}

function parseServer(server: string): URL {
  if (URL.canParse(server)) {
    const url = new URL(server);
    if (url.protocol === 'https:' || url.protocol === 'http:') return url;
  }
  throw invalid(server, 'is not the address of an API server', 'write it as https://host:port');
}

function invalid(server: string, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('INVALID_KUBECONFIG', { object: `server ${JSON.stringify(server)}`, problem, remedy });
}
