import { SignalboxError } from '../../errors/error.ts';
import type { Ip } from '../../net/ip.ts';
import { parseVirtualServers } from '../../rules/ipvs/parse.ts';
import { printCommand, printVirtualAddress, printVirtualServers } from '../../rules/ipvs/print.ts';
import { type IpvsCommand, realServerKey, type VirtualAddress, type VirtualServer } from '../../rules/ipvs/syntax.ts';
import type { RefusedAddress, ServiceAddresses } from './addresses.ts';
import type { IpvsKernel, IpvsTimeouts, RefusedIpvsCommand } from './interface.ts';

/** What a command may meet; the same as in the kernel. */
type Refusal = 'exists' | 'missing';

/** IPVS made of values: loads and dumps what `ipvsadm -S -n` prints, and refuses what the kernel would refuse. */
export class FakeIpvs implements IpvsKernel {
  readonly #servers = new Map<string, VirtualServer>();
  /** By virtual and real server; what is not in here has none. */
  readonly #connections = new Map<string, number>();
  /** All commands ever carried out, as `ipvsadm -R` reads them. */
  readonly history: string[] = [];
  readonly timeouts: IpvsTimeouts[] = [];

  constructor(text = '') {
    for (const server of parseVirtualServers(text)) this.#servers.set(printVirtualAddress(server.address), server);
  }

  /** As `ipvsadm -S -n`. */
  dump(): string {
    return printVirtualServers(this.#servers.values());
  }

  /** Gives a real server connections. */
  connect(address: VirtualAddress, realServer: { readonly ip: Ip; readonly port: number }, count: number): void {
    this.#connections.set(`${printVirtualAddress(address)} ${realServerKey(realServer)}`, count);
  }

  *list(): Generator<undefined, VirtualServer[], undefined> {
    yield;
    return [...this.#servers.values()];
  }

  apply(commands: readonly IpvsCommand[]): RefusedIpvsCommand[] {
    return commands.flatMap((command) => {
      const refusal = this.#apply(command);
      if (refusal === undefined) this.history.push(printCommand(command));
      return refusal === undefined ? [] : [{ command, error: refused(printCommand(command), refusal) }];
    });
  }

  connections(address: VirtualAddress): ReadonlyMap<string, number> {
    const name = printVirtualAddress(address);
    const keys = this.#servers.get(name)?.realServers.map(realServerKey) ?? [];
    return new Map(keys.map((key) => [key, this.#connections.get(`${name} ${key}`) ?? 0]));
  }

  setTimeouts(timeouts: IpvsTimeouts): void {
    this.timeouts.push(timeouts);
  }

  close(): void {
    // Nothing is open.
  }

  #apply(command: IpvsCommand): Refusal | undefined {
    const name = printVirtualAddress(command.address);
    const server = this.#servers.get(name);
    switch (command.verb) {
      case 'add':
        if (server !== undefined) return 'exists';
        this.#servers.set(name, { address: command.address, ...command.options, realServers: [] });
        return undefined;
      case 'edit':
        if (server === undefined) return 'missing';
        this.#servers.set(name, { ...command.options, address: command.address, realServers: server.realServers });
        return undefined;
      case 'delete':
        this.#servers.delete(name);
        return undefined;
      default:
        return this.#applyReal(name, server, command);
    }
  }

  #applyReal(
    name: string,
    server: VirtualServer | undefined,
    { verb, realServer }: Extract<IpvsCommand, { readonly realServer: unknown }>,
  ): Refusal | undefined {
    const key = realServerKey(realServer);
    const others = server?.realServers.filter((other) => realServerKey(other) !== key) ?? [];
    const isThere = server !== undefined && others.length < server.realServers.length;
    if (verb === 'delete-real') {
      if (server !== undefined) this.#servers.set(name, { ...server, realServers: others });
      return undefined;
    }
    if (server === undefined || (verb === 'edit-real' && !isThere)) return 'missing';
    if (verb === 'add-real' && isThere) return 'exists';
    this.#servers.set(name, { ...server, realServers: [...others, realServer] });
    return undefined;
  }
}

/** A dummy device made of values, beside the addresses that the node has otherwise. */
export class FakeServiceAddresses implements ServiceAddresses {
  readonly #own: Set<Ip>;
  #device: Set<Ip> | undefined;

  /** @param own addresses of other devices; who has the set can change it */
  constructor(own: Set<Ip> = new Set()) {
    this.#own = own;
  }

  /** Whether the device is there. */
  get hasDevice(): boolean {
    return this.#device !== undefined;
  }

  makeDevice(): void {
    this.#device ??= new Set();
  }

  list(): ReadonlySet<Ip> {
    return new Set(this.#device);
  }

  others(): ReadonlySet<Ip> {
    return new Set(this.#own);
  }

  add(ips: readonly Ip[]): RefusedAddress[] {
    for (const ip of ips) this.#device?.add(ip);
    return this.#device === undefined ? ips.map((ip) => ({ ip, error: refused(ip, 'missing') })) : [];
  }

  remove(ips: readonly Ip[]): RefusedAddress[] {
    for (const ip of ips) this.#device?.delete(ip);
    return [];
  }

  deleteDevice(): boolean {
    const wasThere = this.hasDevice;
    this.#device = undefined;
    return wasThere;
  }

  close(): void {
    // Nothing is open.
  }
}

function refused(what: string, refusal: Refusal): SignalboxError {
  return new SignalboxError('KERNEL_REFUSED', {
    object: what,
    problem: `was refused by the kernel: ${refusal === 'exists' ? 'EEXIST' : 'ENOENT'}`,
    remedy: 'see whether something else changes it',
  });
}
