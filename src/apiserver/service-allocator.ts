import type { FieldErrors } from '../api/field-error.ts';
import type { Service, ServicePort, ServiceSpec } from '../api/generated/types.ts';
import type { Cidr } from '../net/cidr.ts';
import { type Ip, type IpFamily, parseIp } from '../net/ip.ts';
import { AddressRange } from './address-range.ts';
import { Claims } from './claims.ts';
import { ownerOf } from './ip-addresses.ts';
import { PortRange } from './port-range.ts';
import type { ResourceCache } from './resource-cache.ts';
import { addressesOf, portsOf } from './service-allocations.ts';
import { chooseFamilies } from './service-families.ts';
import { internalError } from './status.ts';

/** What was taken for one request. */
export interface Allocation {
  /** To be called when the object is stored and in the cache, or will not be. */
  release(): void;
}

/** An address or node port of a Service that another had first. */
export interface DoubledAllocation {
  /** `namespace/name` of the Service that came later. */
  readonly key: string;
  readonly item: string | number;
  /** `namespace/name` of the one that keeps it. */
  readonly owner: string;
}

/**
 * Gives Services their cluster IPs and node ports. What is taken follows from the Services there are, so nothing can
 * leak; what requests under way have chosen is held beside it until they are through.
 */
export class ServiceAllocator {
  readonly #families: readonly IpFamily[];
  readonly #nodePorts: PortRange;
  readonly #addressClaims = new Claims<string>();
  readonly #portClaims = new Claims<number>();
  #ranges: readonly AddressRange[] = [];
  /** Found to have no address left, since one was last given back. */
  readonly #full = new Set<AddressRange>();
  #isReserved: (ip: string, key: string) => boolean = () => false;

  /** The cluster's families, the preferred one first; both ends of the node ports belong to their range. */
  constructor(families: readonly IpFamily[], nodePortRange: { readonly from: number; readonly to: number }) {
    this.#families = families;
    this.#nodePorts = new PortRange(nodePortRange);
  }

  /**
   * Takes up what is stored, and follows it from now on. An address that has an IPAddress object is left alone though
   * no Service has it.
   */
  follow({ services, ipAddresses }: { readonly services: ResourceCache; readonly ipAddresses: ResourceCache }): void {
    this.#isReserved = (ip, key) => {
      const found = ipAddresses.get(ip);
      return found !== undefined && ownerOf(found) !== key;
    };
    ipAddresses.listen(({ current }) => {
      if (current === undefined) this.#full.clear();
    });
    for (const { key, object } of services.list()) this.#follow(key, undefined, object as Service);
    services.listen(({ previous, current }) => {
      const key = (current ?? previous)?.key ?? '';
      this.#follow(key, previous?.object as Service | undefined, current?.object as Service | undefined);
    });
  }

  /** The blocks to allocate from, until further notice; of two with free addresses, the earlier one is taken. */
  allocateFrom(blocks: readonly Cidr[]): void {
    this.#ranges = blocks.map((cidr) => new AddressRange(cidr));
    this.#full.clear();
  }

  /** `namespace/name` of the stored Service that has an address. */
  holderOf(ip: string): string | undefined {
    return this.#addressClaims.holderOf(ip);
  }

  /** Every address that a Service has, or one being stored. */
  addresses(): Iterable<string> {
    return this.#addressClaims.items();
  }

  /** What stored Services have twice. Given up by one, it stays the other's. */
  doubled(): DoubledAllocation[] {
    const all = [...this.#addressClaims.doubled(), ...this.#portClaims.doubled()];
    return all.flatMap(({ item, owner, others }) => others.map((key) => ({ key, item, owner })));
  }

  /**
   * Sets addresses, families and ports in a Service about to be stored in place of `before`, or says in `errors` why
   * not. Runs in one turn, so that no two requests can choose the same.
   */
  allocate(
    key: string,
    { service, before }: { readonly service: Service; readonly before: Service | undefined },
    errors: FieldErrors,
  ): Allocation {
    const releases: (() => void)[] = [];
    const request = { key, spec: service.spec ?? {}, before: before?.spec, errors, releases };
    const release = () => {
      for (const each of releases.splice(0)) each();
    };
    try {
      dropZeros(request.spec);
      if (chooseFamilies(request.spec, { before: request.before, available: this.#families }, errors))
        this.#allocateAddresses(request);
      this.#allocatePorts(request);
    } catch (error) {
      release();
      throw error;
    }
    if (errors.list.length > 0) release();
    return { release };
  }

  #allocateAddresses(request: Request): void {
    const { spec, before } = request;
    if (spec.clusterIPs?.[0] === 'None' || before?.clusterIPs?.[0] === 'None') return;
    const asked = spec.clusterIPs ?? [];
    const chosen = [...asked];
    for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
      // Another address in place of the one it has is for validation to refuse.
      if (asked[i] === undefined || asked[i] === '') chosen[i] = this.#takeAny(family, request);
      else if (!before?.clusterIPs?.[i]) this.#takeAsked(asked[i], family, request);
    }
    spec.clusterIPs = chosen;
    spec.clusterIP = chosen[0] ?? '';
  }

  #takeAny(family: string, request: Request): Ip {
    const ip = this.#pick(family, request.key);
    if (ip === undefined) throw internalError('failed to allocate a serviceIP: range is full');
    this.#take(ip, request);
    return ip;
  }

  #takeAsked(text: string, family: string, request: Request): void {
    const ip = parseIp(text);
    const problem = this.#addressProblem(ip, family, request.key);
    if (problem === undefined) this.#take(ip, request);
    else
      request.errors.invalid('spec.clusterIPs', request.spec.clusterIPs, `failed to allocate IP ${text}: ${problem}`);
  }

  #take(ip: Ip, { key, releases }: Request): void {
    const release = this.#addressClaims.take(ip, key);
    releases.push(() => {
      release();
      if (this.#addressClaims.ownerOf(ip) === undefined) this.#full.clear();
    });
  }

  #pick(family: string, key: string): Ip | undefined {
    for (const range of this.#ranges) {
      if (range.cidr.family !== family || this.#full.has(range)) continue;
      const ip = range.pick((one) => this.#isFree(one, key));
      if (ip !== undefined) return ip;
      this.#full.add(range);
    }
    return undefined;
  }

  #isFree(ip: Ip, key: string): boolean {
    return this.#addressClaims.isFreeFor(ip, key) && !this.#isReserved(ip, key);
  }

  #addressProblem(ip: Ip, family: string, key: string): string | undefined {
    // What a Service has, it keeps, even if the blocks were changed since.
    if (this.#addressClaims.ownerOf(ip) === key) return undefined;
    const ranges = this.#ranges.filter((range) => range.cidr.family === family);
    if (!ranges.some((range) => range.contains(ip)))
      return `the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${ranges.join(', ')}`;
    return this.#isFree(ip, key) ? undefined : 'provided IP is already allocated';
  }

  #allocatePorts(request: Request): void {
    const { spec } = request;
    if (spec.type !== 'NodePort' && spec.type !== 'LoadBalancer') return;
    const wantsNodePorts = spec.type === 'NodePort' || spec.allocateLoadBalancerNodePorts !== false;
    const ports = spec.ports ?? [];
    // Those asked for first, so that none of them is given away to another port of the same Service.
    for (const [i, port] of ports.entries()) {
      if (port.nodePort) this.#claimPort(port.nodePort, `spec.ports[${i}].nodePort`, request);
    }
    const tellsHealth = spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local';
    if (tellsHealth && spec.healthCheckNodePort) this.#claimHealthPort(spec.healthCheckNodePort, request);
    if (wantsNodePorts)
      for (const port of ports) if (!port.nodePort) port.nodePort = this.#pickPort(port, ports, request);
    if (tellsHealth) spec.healthCheckNodePort ??= this.#pickPort(undefined, ports, request);
  }

  /** The proxy itself listens on it, so that not even another port of the same Service can have it. */
  #claimHealthPort(port: number, request: Request): void {
    const { spec, before, errors } = request;
    const same = (spec.ports ?? []).findIndex(({ nodePort }) => nodePort === port);
    const field = 'spec.healthCheckNodePort';
    if (same >= 0) {
      const second = before?.healthCheckNodePort ? `spec.ports[${same}].nodePort` : field;
      errors.invalid(second, port, 'provided port is already allocated');
      return;
    }
    // Another one in place of the one it has is for validation to refuse.
    if (!before?.healthCheckNodePort) this.#claimPort(port, field, request);
  }

  #claimPort(port: number, field: string, { key, errors, releases }: Request): void {
    const owner = this.#portClaims.ownerOf(port);
    if (owner !== key && !this.#nodePorts.contains(port)) {
      const problem = 'provided port is not in the valid range. The range of valid ports is';
      errors.invalid(field, port, `${problem} ${this.#nodePorts}`);
    } else if (!this.#portClaims.isFreeFor(port, key))
      errors.invalid(field, port, 'provided port is already allocated');
    else releases.push(this.#portClaims.take(port, key));
  }

  /** Ports of one Service with the same number and different protocols share their node port. */
  #pickPort(port: ServicePort | undefined, ports: readonly ServicePort[], { key, releases }: Request): number {
    const twin = ports.find(
      (other) => other.nodePort && other.port === port?.port && other.protocol !== port.protocol,
    )?.nodePort;
    const isShared = ports.some((other) => other.nodePort === twin && other.protocol === port?.protocol);
    const chosen =
      twin !== undefined && !isShared
        ? twin
        : this.#nodePorts.pick((one) => this.#portClaims.ownerOf(one) === undefined);
    if (chosen === undefined) throw internalError('failed to allocate a nodePort: range is full');
    releases.push(this.#portClaims.take(chosen, key));
    return chosen;
  }

  #follow(key: string, previous: Service | undefined, current: Service | undefined): void {
    if (previous !== undefined) this.#full.clear();
    this.#addressClaims.follow(key, addressesOf(previous), addressesOf(current));
    this.#portClaims.follow(key, portsOf(previous), portsOf(current));
  }
}

interface Request {
  readonly key: string;
  readonly spec: ServiceSpec;
  /** As it stands; absent for a new Service. */
  readonly before: ServiceSpec | undefined;
  readonly errors: FieldErrors;
  readonly releases: (() => void)[];
}

/** A port of 0 and an empty address say no more than leaving them out, and are not stored. */
function dropZeros(spec: ServiceSpec): void {
  if (!spec.clusterIP) delete spec.clusterIP;
  if (!spec.healthCheckNodePort) delete spec.healthCheckNodePort;
  for (const port of spec.ports ?? []) if (!port.nodePort) delete port.nodePort;
}
