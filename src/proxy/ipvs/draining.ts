import type { IpvsKernel } from '../../kernel/ipvs/interface.ts';
import { printVirtualAddress } from '../../rules/ipvs/print.ts';
import { type RealServer, realServerKey, type VirtualServer } from '../../rules/ipvs/syntax.ts';

/** Milliseconds after which a real server goes with whatever connections it still has. */
const longestDrain = 24 * 60 * 60 * 1000;

interface Entry {
  readonly server: VirtualServer;
  /** Since when real servers get no new connections; milliseconds since the epoch. */
  readonly since: ReadonlyMap<string, number>;
}

/** Real servers that nobody wants any more, and that keep the connections they have until these end. */
export class Draining {
  readonly #kernel: IpvsKernel;
  readonly #servers = new Map<string, Entry>();

  constructor(kernel: IpvsKernel) {
    this.#kernel = kernel;
  }

  get any(): boolean {
    return this.#servers.size > 0;
  }

  /** Notes which of a virtual server's real servers end: all but those that are wanted. */
  watch(server: VirtualServer, wanted: readonly RealServer[], now: number): void {
    const key = printVirtualAddress(server.address);
    const known = this.#servers.get(key)?.since;
    const stays = new Set(wanted.map(realServerKey));
    const ending = server.realServers.map(realServerKey).filter((name) => !stays.has(name));
    if (ending.length === 0) this.#servers.delete(key);
    else this.#servers.set(key, { server, since: new Map(ending.map((name) => [name, known?.get(name) ?? now])) });
  }

  /** A virtual server is gone. */
  drop(key: string): void {
    this.#servers.delete(key);
  }

  /** Nothing is known any more of what the kernel has. */
  forget(): void {
    this.#servers.clear();
  }

  /** Deletes those whose connections have ended, or that have had their time; gives what is left of their servers. */
  finish(now: number): VirtualServer[] {
    const changed: VirtualServer[] = [];
    for (const [key, { server, since }] of this.#servers) {
      const connections = this.#kernel.connections(server.address);
      const isDone = (name: string) =>
        (connections.get(name) ?? 0) === 0 || now - (since.get(name) ?? now) >= longestDrain;
      const done = new Set([...since.keys()].filter(isDone));
      if (done.size === 0) continue;
      const left = { ...server, realServers: server.realServers.filter((one) => !done.has(realServerKey(one))) };
      this.#delete(server, left);
      changed.push(left);
      const ending = [...since].filter(([name]) => !done.has(name));
      if (ending.length === 0) this.#servers.delete(key);
      else this.#servers.set(key, { server: left, since: new Map(ending) });
    }
    return changed;
  }

  /** A refusal is found when the table is compared next. */
  #delete(server: VirtualServer, left: VirtualServer): void {
    const { address } = server;
    if (left.realServers.length === 0) this.#kernel.apply([{ verb: 'delete', address }]);
    else {
      const gone = server.realServers.filter((realServer) => !left.realServers.includes(realServer));
      this.#kernel.apply(gone.map((realServer) => ({ verb: 'delete-real', address, realServer })));
    }
  }
}
