import { connect, createServer, type Server, type Socket } from 'node:net';
import { type Ip, parseIp } from '../net/ip.ts';
import type { Balancer } from './balancer.ts';
import type { Relay, RelayLimits, RelayTarget } from './relay.ts';

/**
 * How long an endpoint may take to accept before the next one is asked, milliseconds. Short, since within a cluster an
 * endpoint that is there accepts in far less.
 */
const connectTimeouts = [250, 500, 1000, 2000] as const;

/** The same for the last one that is asked, after whom there is nobody. */
const lastConnectTimeout = 10_000;

/** Endpoints that are asked for one client before it is turned away. */
const maxTries = 8;

/**
 * Accepts TCP connections and relays each to an endpoint. One side's end is passed on while the other side goes on
 * sending (half-close); a slow reader slows the sender down; an abort of one side aborts the other.
 */
export class TcpRelay implements Relay {
  readonly #server: Server;
  readonly #balancer: Balancer;
  readonly #limits: RelayLimits;
  readonly #open = new Set<Socket>();

  constructor(balancer: Balancer, limits: RelayLimits) {
    this.#balancer = balancer;
    this.#limits = limits;
    this.#server = createServer({ allowHalfOpen: true, pauseOnConnect: true, noDelay: true }, (client) => {
      void this.#serve(client);
    });
  }

  listen(host: Ip, port: number): Promise<number> {
    return this.#begin({ host, port });
  }

  adopt(fd: number): Promise<number> {
    return this.#begin({ fd });
  }

  #begin(where: { host: Ip; port: number } | { fd: number }): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen({ ...where, backlog: 4096 }, () => {
        this.#server.off('error', reject);
        this.#server.on('error', (error) => this.#limits.onError(error));
        const address = this.#server.address();
        resolve(typeof address === 'object' && address !== null ? address.port : 0);
      });
    });
  }

  /** Connections go on to the end, wherever they lead. */
  close(): void {
    this.#server.close();
  }

  destroy(): void {
    this.close();
    for (const socket of this.#open) socket.destroy();
  }

  async #serve(client: Socket): Promise<void> {
    if (!this.#limits.connections.take()) {
      client.resetAndDestroy();
      return;
    }
    this.#open.add(client);
    // Without a listener an error would end the process; what it means for the connection, 'close' tells.
    client.on('error', () => {});
    client.once('close', () => {
      this.#open.delete(client);
      this.#limits.connections.giveBack();
    });
    const endpoint =
      client.remoteAddress === undefined ? undefined : await this.#reach(client, parseIp(client.remoteAddress));
    if (endpoint === undefined) client.resetAndDestroy();
    else this.#join(client, endpoint);
  }

  /** A connection to the first endpoint that accepts one; none if the client gives up or nobody does. */
  async #reach(client: Socket, address: Ip): Promise<Socket | undefined> {
    const most = Math.min(maxTries, this.#balancer.size);
    let tries = 0;
    for (const endpoint of this.#balancer.candidates(address)) {
      if (client.destroyed || tries === maxTries) return undefined;
      tries++;
      const timeout = tries === most ? lastConnectTimeout : (connectTimeouts[tries - 1] ?? connectTimeouts[3]);
      const socket = await connected(endpoint, { timeout, client });
      if (socket === undefined) continue;
      this.#balancer.taken(address, endpoint);
      return socket;
    }
    return undefined;
  }

  #join(client: Socket, endpoint: Socket): void {
    this.#open.add(endpoint);
    endpoint.once('close', () => this.#open.delete(endpoint));
    for (const [from, to] of [
      [client, endpoint],
      [endpoint, client],
    ] as const) {
      from.setKeepAlive(true, keepAliveMs);
      from.setTimeout(this.#limits.idleMs, () => from.resetAndDestroy());
      from.once('close', () => {
        // Whole when its end was passed on and everything that was to be sent to it was: nothing is left to say then.
        if (!from.readableEnded || !from.writableFinished) to.resetAndDestroy();
      });
      from.pipe(to);
    }
  }
}

/** Finds out that the other side is gone without a word, well before an idle connection would be given up. */
const keepAliveMs = 60_000;

function connected(
  endpoint: RelayTarget,
  { timeout, client }: { readonly timeout: number; readonly client: Socket },
): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: endpoint.ip, port: endpoint.port, allowHalfOpen: true, noDelay: true });
    const giveUp = () => finish(undefined);
    // A busy process may come to its timers late: an answer that is there already counts.
    const timer = setTimeout(() => setImmediate(giveUp), timeout);
    let done = false;
    const finish = (result: Socket | undefined) => {
      if (done) return;
      done = true;
      clearTimeout(timer);
      client.off('close', giveUp);
      if (result === undefined) socket.destroy();
      resolve(result);
    };
    client.once('close', giveUp);
    socket.on('error', giveUp);
    socket.once('connect', () => finish(socket));
  });
}
