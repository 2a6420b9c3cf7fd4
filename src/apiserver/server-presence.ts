import type { Store } from '../store/store.ts';

const folder = '/servers/';
export const renewEveryMs = 10_000;
/** A server not heard of for so long is taken for gone. */
const goneAfterMs = 35_000;

/** Where an API server is reached. */
export interface ServerAddress {
  readonly ip: string;
  readonly port: number;
}

/** Which API servers serve the same store, so that the Service `kubernetes` leads to all of them and to no dead one. */
export class ServerPresence {
  /** This server's address; absent: nothing leads to it. */
  readonly own: ServerAddress | undefined;
  readonly #store: Store;

  constructor(store: Store, own: ServerAddress | undefined) {
    this.#store = store;
    this.own = own;
  }

  /** Says that this server is there; to be called again and again. */
  async renew(): Promise<void> {
    if (this.own === undefined || !this.#store.isShared) return;
    const value = Buffer.from(JSON.stringify({ ...this.own, renewed: Date.now() }));
    await this.#store.transact([{ type: 'put', key: keyOf(this.own), value }]);
  }

  /** The servers there are, by address. */
  async list(): Promise<readonly ServerAddress[]> {
    if (this.own === undefined) return [];
    if (!this.#store.isShared) return [this.own];
    const { items } = await this.#store.list(folder);
    const known = items.map(({ value }) => JSON.parse(Buffer.from(value).toString()) as ServerAddress & Renewed);
    const isThere = ({ renewed }: Renewed) => renewed > Date.now() - goneAfterMs;
    return known.filter(isThere).map(({ ip, port }) => ({ ip, port }));
  }

  /** Says that this server is about to go. One that cannot is missed after a while. */
  async leave(): Promise<void> {
    if (this.own === undefined || !this.#store.isShared) return;
    await this.#store.transact([{ type: 'delete', key: keyOf(this.own) }]).catch(() => {});
  }
}

interface Renewed {
  /** Milliseconds since the epoch. */
  readonly renewed: number;
}

function keyOf({ ip, port }: ServerAddress): string {
  return `${folder}${ip}:${port}`;
}
