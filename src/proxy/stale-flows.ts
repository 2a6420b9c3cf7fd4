import type { ServicePortChange } from '../model/service-model.ts';
import type { Endpoint, Frontend, ServicePort } from '../model/types.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import type { ProxyMode } from './proxy-mode.ts';

/** An address and UDP port that clients send to, and where its flows may lead; flows that lead elsewhere are stale. */
export interface FlowReview {
  readonly ip: Ip;
  readonly port: number;
  /** Where flows may stay. */
  readonly endpoints: readonly Endpoint[];
}

/**
 * Which UDP flows may have become stale. The kernel keeps sending a flow's packets to the endpoint it first chose, or
 * nowhere if there was none, for as long as the client goes on; UDP has nothing that would end it. So flows are to be
 * looked over when a frontend goes or gets its first endpoint, and when an endpoint serves no longer. Not when only
 * policies, hints or its own termination lead new connections away from one: what has begun there goes on, as TCP does.
 */
export class StaleFlows {
  readonly #staying: (port: ServicePort | undefined, at: FrontendAddress) => readonly Endpoint[];
  /** Frontends to look over, `ip port`, with the Service port that had or has them. */
  readonly #frontends = new Map<string, { readonly servicePort: string; readonly ip: Ip; readonly port: number }>();

  /**
   * @param mode ipvs mode differs: its balancer in the kernel forgets a flow once its endpoint takes no new ones, and
   * connection tracking must not go on with what is no more
   */
  constructor(mode: ProxyMode) {
    this.#staying = mode === 'ipvs' ? endpointsAt : servingAt;
  }

  /** Notes changes that the kernel has carried out. */
  note(changes: readonly ServicePortChange[]): void {
    // What one Service port loses another may gain in the same step: so gains come last.
    for (const { previous, current } of changes) this.#noteLosses(previous, current);
    for (const { previous, current } of changes) this.#noteGains(previous, current);
  }

  /** What is to be looked over, as of these Service ports. */
  review(servicePorts: ReadonlyMap<string, ServicePort>): FlowReview[] {
    return [...this.#frontends.values()].map(({ servicePort, ip, port }) => {
      return { ip, port, endpoints: this.#staying(servicePorts.get(servicePort), { ip, port }) };
    });
  }

  /** It has been looked over. */
  clear(): void {
    this.#frontends.clear();
  }

  #noteLosses(previous: ServicePort | undefined, current: ServicePort | undefined): void {
    if (previous?.protocol !== 'UDP') return;
    const now = current?.protocol === 'UDP' ? current : undefined;
    for (const frontend of previous.frontends) {
      const kept = new Set(this.#staying(now, frontend).map(endpointText));
      const lost = this.#staying(previous, frontend).some((endpoint) => !kept.has(endpointText(endpoint)));
      if (lost) this.#note(previous.name, frontend);
    }
  }

  #noteGains(previous: ServicePort | undefined, current: ServicePort | undefined): void {
    if (current?.protocol !== 'UDP') return;
    const before = previous?.protocol === 'UDP' ? previous : undefined;
    for (const frontend of current.frontends) {
      const had = endpointsAt(before, frontend).length;
      if (had === 0 && endpointsAt(current, frontend).length > 0) this.#note(current.name, frontend);
    }
  }

  #note(servicePort: string, { ip, port }: Frontend): void {
    this.#frontends.set(`${ip} ${port}`, { servicePort, ip, port });
  }
}

type FrontendAddress = Pick<Frontend, 'ip' | 'port'>;

function frontendAt(port: ServicePort | undefined, at: FrontendAddress): Frontend | undefined {
  return port?.frontends.find(({ ip, port }) => ip === at.ip && port === at.port);
}

/** Where new flows go, those of clients inside as well where they are led elsewhere. */
function endpointsAt(port: ServicePort | undefined, at: FrontendAddress): readonly Endpoint[] {
  const { endpoints = [], inside } = frontendAt(port, at) ?? {};
  return inside === undefined ? endpoints : [...endpoints, ...inside.endpoints];
}

/** Where flows may stay that have begun: nowhere if the frontend is gone. */
function servingAt(port: ServicePort | undefined, at: FrontendAddress): readonly Endpoint[] {
  if (frontendAt(port, at) === undefined) return [];
  return port?.serving?.filter(({ ip }) => familyOf(ip) === familyOf(at.ip)) ?? [];
}

function endpointText({ ip, port }: Endpoint): string {
  return `${ip} ${port}`;
}
