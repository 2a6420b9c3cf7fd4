import type { FieldErrors } from '../api/field-error.ts';
import type { Service, ServicePort, ServiceSpec } from '../api/generated/types.ts';
import type { Cidr } from '../net/cidr.ts';
import { type Ip, tryParseIp } from '../net/ip.ts';
import { AddressRange } from './address-range.ts';
import { Claims } from './claims.ts';
import { PortRange } from './port-range.ts';
import type { ResourceCache } from './resource-cache.ts';
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
  readonly #ranges: readonly AddressRange[];
  readonly #nodePorts: PortRange;
  readonly #addressClaims = new Claims<string>();
  readonly #portClaims = new Claims<number>();

  /** Blocks in order of preference, at most one a family. */
  constructor(serviceCidrs: readonly Cidr[], nodePortRange: { readonly from: number; readonly to: number }) {
    this.#ranges = serviceCidrs.map((cidr) => new AddressRange(cidr));
    this.#nodePorts = new PortRange(nodePortRange);
  }

  /** Takes up what is stored, and follows it from now on. */
  follow(services: ResourceCache): void {
    for (const { key, object } of services.list()) this.#follow(key, undefined, object as Service);
    services.listen(({ previous, current }) => {
      const key = (current ?? previous)?.key ?? '';
      this.#follow(key, previous?.object as Service | undefined, current?.object as Service | undefined);
    });
  }

  /** What stored Services have twice. Given up by one, it stays the other's. */
  doubled(): DoubledAllocation[] {
    const all = [...this.#addressClaims.doubled(), ...this.#portClaims.doubled()];
    return all.flatMap(({ item, owner, others }) => others.map((key) => ({ key, item, owner })));
  }

  /**
   * Sets addresses, families and ports in a Service about to be stored, or says in `errors` why not. Runs in one turn,
   * so that no two requests can choose the same.
   */
  allocate(key: string, service: Service, errors: FieldErrors): Allocation {
    const releases: (() => void)[] = [];
    const request = { key, spec: service.spec ?? {}, errors, releases };
    dropWhatTypeForbids(request.spec);
    if (
      chooseFamilies(
        request.spec,
        this.#ranges.map((range) => range.cidr.family),
        errors,
      )
    ) {
      this.#allocateAddresses(request);
    }
    this.#allocatePorts(request);
    const release = () => {
      for (const each of releases) each();
    };
    if (errors.list.length > 0) release();
    return { release };
  }

  #allocateAddresses({ key, spec, errors, releases }: Request): void {
    if (spec.type === 'ExternalName' || spec.clusterIP === 'None') return;
    const asked = spec.clusterIPs ?? [];
    const chosen: string[] = [];
    for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
      const range = this.#ranges.find((r) => r.cidr.family === family);
      const text = asked[i] ?? '';
      const ip = text === '' ? range?.pick((one) => this.#addressClaims.isFreeFor(one, key)) : tryParseIp(text);
      if (ip === undefined && text === '') throw internalError(`failed to allocate a serviceIP: range is full`);
      const problem = ip === undefined || range === undefined ? undefined : this.#addressProblem(ip, range, key);
      if (problem !== undefined) errors.invalid('spec.clusterIPs', asked, `failed to allocate IP ${text}: ${problem}`);
      else if (ip !== undefined) releases.push(this.#addressClaims.take(ip, key));
      chosen.push(ip ?? text);
    }
    spec.clusterIPs = chosen;
    spec.clusterIP = chosen[0] ?? '';
  }

  #addressProblem(ip: Ip, range: AddressRange, key: string): string | undefined {
    // What a Service has, it keeps, even if the blocks were changed since.
    if (this.#addressClaims.ownerOf(ip) === key) return undefined;
    if (!range.contains(ip)) {
      return `the provided IP (${ip}) is not in the valid range. The range of valid IPs is ${range}`;
    }
    return this.#addressClaims.isFreeFor(ip, key) ? undefined : 'provided IP is already allocated';
  }

  #allocatePorts(request: Request): void {
    const { spec } = request;
    const wantsNodePorts =
      spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false);
    const ports = spec.ports ?? [];
    // Those asked for first, so that none of them is given away to another port of the same Service.
    for (const [i, port] of ports.entries()) {
      if (port.nodePort) this.#claimPort(port.nodePort, `spec.ports[${i}].nodePort`, request);
    }
    if (wantsNodePorts)
      for (const port of ports) if (!port.nodePort) port.nodePort = this.#pickPort(port, ports, request);
    if (spec.type !== 'LoadBalancer' || spec.externalTrafficPolicy !== 'Local') return;
    if (spec.healthCheckNodePort) this.#claimPort(spec.healthCheckNodePort, 'spec.healthCheckNodePort', request);
    else spec.healthCheckNodePort = this.#pickPort(undefined, ports, request);
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
    this.#addressClaims.follow(key, addressesOf(previous), addressesOf(current));
    this.#portClaims.follow(key, portsOf(previous), portsOf(current));
  }
}

interface Request {
  readonly key: string;
  readonly spec: ServiceSpec;
  readonly errors: FieldErrors;
  readonly releases: (() => void)[];
}

/** The cluster IPs that a Service has. */
export function addressesOf(service: Service | undefined): string[] {
  return (service?.spec?.clusterIPs ?? []).filter((ip) => ip !== 'None' && ip !== '');
}

/** The node ports that a Service has. */
export function portsOf(service: Service | undefined): number[] {
  const { ports = [], healthCheckNodePort } = service?.spec ?? {};
  return [...ports.map((port) => port.nodePort), healthCheckNodePort].filter(
    (port): port is number => port !== undefined && port !== 0,
  );
}

/** A Service changed to a type without addresses or node ports gives back what it had, as its owner cannot. */
function dropWhatTypeForbids(spec: ServiceSpec): void {
  if (!spec.healthCheckNodePort) delete spec.healthCheckNodePort;
  for (const port of spec.ports ?? []) if (!port.nodePort) delete port.nodePort;
}
