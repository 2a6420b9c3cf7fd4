import { relaysOf, throughRelays } from '../../backends/userspace/service.ts';
import { SignalboxError } from '../../errors/error.ts';
import type { NodeFacts, ServicePort } from '../../model/types.ts';
import { familyOf, type Ip, type IpFamily, isLoopback } from '../../net/ip.ts';
import type { Backend, CheckResult, ServicePortUpdates, SyncResult } from '../backend.ts';
import type { Relays } from './relays.ts';

function keysOf(port: ServicePort | undefined): string[] {
  return port === undefined ? [] : relaysOf(port).map(({ key }) => key);
}

/** Whether others can send to it through rules: neither loopback nor link-local (RFC 4291, 2.5.6). */
function isUsable(ip: Ip): boolean {
  return !isLoopback(ip) && !/^fe[89ab]/.test(ip);
}

export interface UserspaceBackendOptions {
  /** Leads frontends to endpoints, which are relays here. */
  readonly rules: Backend;
  readonly relays: Relays;
  /** Addresses of the node's devices, now; where a relay listens if the node's object does not say. */
  readonly interfaceAddresses: () => readonly Ip[];
  /** Lets go of what tells them. */
  readonly close: () => void;
}

/**
 * userspace mode: this process accepts connections itself and relays them to endpoints. Rules lead there, those of
 * the nftables mode in tables of their own: a relay is to them an endpoint on this node.
 */
export class UserspaceBackend implements Backend {
  readonly mode = 'userspace';
  readonly #options: UserspaceBackendOptions;
  readonly #servicePorts = new Map<string, ServicePort>();
  #hosts: ReadonlyMap<IpFamily, Ip> = new Map();

  constructor(options: UserspaceBackendOptions) {
    this.#options = options;
  }

  prepare(node: NodeFacts): Promise<void> {
    return this.#options.rules.prepare(node);
  }

  /** New relays listen before rules lead to them, and old ones until no rule does. */
  async sync(node: NodeFacts, updates: ServicePortUpdates): Promise<SyncResult> {
    const concerned = this.#moveHosts(node) ? new Map([...this.#servicePorts, ...updates]) : updates;
    const refused = new Map<string, SignalboxError>();
    const led = new Map<string, ServicePort | undefined>();
    for (const [name, port] of concerned) {
      try {
        led.set(name, port && (await this.#relayed(port)));
      } catch (error) {
        if (!(error instanceof SignalboxError)) throw error;
        refused.set(name, error);
      }
    }
    const result = await this.#options.rules.sync(node, led);
    for (const [name, error] of result.refused) refused.set(name, error);
    for (const [name, port] of concerned) this.#settle(name, { asked: port, refused: refused.has(name) });
    return { refused };
  }

  check(signal: AbortSignal): Promise<CheckResult> {
    return this.#options.rules.check(signal);
  }

  async cleanup(): Promise<readonly string[]> {
    const removed = await this.#options.rules.cleanup();
    this.#options.relays.destroy();
    return removed;
  }

  close(): void {
    this.#options.rules.close();
    this.#options.relays.destroy();
    this.#options.close();
  }

  async #relayed(port: ServicePort): Promise<ServicePort> {
    const { relays } = this.#options;
    for (const plan of relaysOf(port)) await relays.ensure(plan, this.#host(plan.family, port));
    return throughRelays(port, (key) => {
      const address = relays.addressOf(key);
      if (address === undefined) throw new Error(`no relay ${key}`);
      return address;
    });
  }

  #host(family: IpFamily, port: ServicePort): Ip {
    const host = this.#hosts.get(family);
    if (host !== undefined) return host;
    throw new SignalboxError('RELAY_FAILED', {
      object: port.name,
      problem: `has no relay on this node: the node has no ${family} address`,
      remedy: `give the node an ${family} address, or the Service the other family`,
    });
  }

  /** Relays listen on one address of the node a family, not on all: only rules are to lead there. */
  #moveHosts({ addresses }: NodeFacts): boolean {
    const own = this.#options.interfaceAddresses();
    const hosts = new Map<IpFamily, Ip>();
    for (const ip of [...addresses.filter((address) => own.includes(address)), ...own]) {
      if (!hosts.has(familyOf(ip)) && isUsable(ip)) hosts.set(familyOf(ip), ip);
    }
    const moved = [...hosts].some(([family, ip]) => this.#hosts.get(family) !== ip);
    this.#hosts = hosts;
    return moved && this.#servicePorts.size > 0;
  }

  /** Notes what the rules now have of a Service port, and closes the relays that none leads to any more. */
  #settle(name: string, { asked, refused }: { asked: ServicePort | undefined; refused: boolean }): void {
    const { relays } = this.#options;
    const before = this.#servicePorts.get(name);
    const now = refused ? before : asked;
    if (now === undefined) {
      this.#servicePorts.delete(name);
      relays.forgetClients(name);
    } else this.#servicePorts.set(name, now);
    const used = keysOf(now);
    for (const key of [...keysOf(before), ...keysOf(asked)]) if (!used.includes(key)) relays.close(key);
  }
}
