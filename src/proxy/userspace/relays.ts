import type { RelayAddress, RelayPlan } from '../../backends/userspace/service.ts';
import { SignalboxError } from '../../errors/error.ts';
import type { Ip } from '../../net/ip.ts';
import { Balancer, StickyClients } from '../../relay/balancer.ts';
import type { Relay, RelayLimits } from '../../relay/relay.ts';
import { TcpRelay } from '../../relay/tcp-relay.ts';
import { UdpRelay } from '../../relay/udp-relay.ts';
import type { PortRange } from '../config/modes.ts';

export interface RelaysOptions {
  readonly limits: RelayLimits;
  /** Absent: any the kernel has free. */
  readonly ports: PortRange | undefined;
  /** Milliseconds, by a clock that only goes forward. */
  readonly now: () => number;
}

interface OpenRelay {
  readonly relay: Relay;
  readonly balancer: Balancer;
  readonly address: RelayAddress;
}

/** All relays of a node. */
export class Relays {
  readonly #options: RelaysOptions;
  /** By `RelayPlan.key`. */
  readonly #open = new Map<string, OpenRelay>();
  /** By Service port. */
  readonly #sticky = new Map<string, StickyClients>();

  constructor(options: RelaysOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Where the relay listens; `undefined` if there is none of that key. */
  addressOf(key: string): RelayAddress | undefined {
    return this.#open.get(key)?.address;
  }

  /**
   * Makes a relay, or tells the one that is there of its endpoints. One that listens elsewhere is replaced.
   * @throws SignalboxError `RELAY_FAILED`
   */
  async ensure(plan: RelayPlan, host: Ip): Promise<void> {
    const sticky = this.#stickyFor(plan);
    const known = this.#open.get(plan.key);
    if (known !== undefined && known.address.ip === host) {
      known.balancer.update(plan.endpoints, sticky);
      return;
    }
    const balancer = new Balancer();
    balancer.update(plan.endpoints, sticky);
    const opened = await this.#listen(plan, host, balancer);
    known?.relay.close();
    this.#open.set(plan.key, { ...opened, balancer });
  }

  /** Takes no more clients there. Connections go on, datagrams do not. */
  close(key: string): void {
    this.#open.get(key)?.relay.close();
    this.#open.delete(key);
  }

  /** To be told when a Service port is gone. */
  forgetClients(servicePort: string): void {
    this.#sticky.delete(servicePort);
  }

  /** Ends all relays, and every connection. */
  destroy(): void {
    for (const { relay } of this.#open.values()) relay.destroy();
    this.#open.clear();
  }

  #stickyFor({ servicePort, affinitySeconds }: RelayPlan): StickyClients | undefined {
    const known = this.#sticky.get(servicePort);
    if (known?.seconds === affinitySeconds) return known;
    if (affinitySeconds === undefined) {
      this.#sticky.delete(servicePort);
      return undefined;
    }
    const sticky = new StickyClients(affinitySeconds, this.#options.now);
    this.#sticky.set(servicePort, sticky);
    return sticky;
  }

  async #listen(plan: RelayPlan, host: Ip, balancer: Balancer): Promise<Omit<OpenRelay, 'balancer'>> {
    for (const port of this.#portsToTry()) {
      const relay = this.#make(plan, host, balancer);
      try {
        return { relay, address: { ip: host, port: await relay.listen(host, port) } };
      } catch (error) {
        relay.destroy();
        if (isTaken(error) && port !== 0) continue;
        throw failure(plan, error instanceof Error ? error.message : String(error));
      }
    }
    throw failure(plan, 'every port of portRange is taken');
  }

  #make({ servicePort, protocol }: RelayPlan, host: Ip, balancer: Balancer): Relay {
    const { limits } = this.#options;
    if (protocol === 'TCP') return new TcpRelay(balancer, limits);
    if (protocol === 'UDP') return new UdpRelay(host, balancer, limits);
    throw new SignalboxError('PROTOCOL_NOT_RELAYED', {
      object: servicePort,
      problem: `is a port of ${protocol}, which the userspace mode cannot relay: Node.js has no ${protocol} sockets`,
      remedy: 'choose another proxy mode',
    });
  }

  /** From a different place of the range for each relay, so that they do not all try the same ports first. */
  *#portsToTry(): Generator<number, void> {
    const { ports } = this.#options;
    if (ports === undefined) {
      yield 0;
      return;
    }
    const size = ports.last - ports.first + 1;
    for (let i = 0; i < size; i++) yield ports.first + ((this.#open.size + i) % size);
  }
}

function isTaken(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'EADDRINUSE' || error.code === 'EACCES');
}

function failure({ servicePort }: RelayPlan, problem: string): SignalboxError {
  return new SignalboxError('RELAY_FAILED', {
    object: servicePort,
    problem: `has no relay on this node: ${problem}`,
    remedy: 'free ports, or set a larger portRange',
  });
}
