import type { ServicePortChange } from '../model/service-model.ts';
import type { Endpoint, Frontend, ServicePort } from '../model/types.ts';
import type { Ip } from '../net/ip.ts';

/** An address and UDP port that clients send to, and where its flows may lead; flows that lead elsewhere are stale. */
export interface FlowReview {
  readonly ip: Ip;
  readonly port: number;
  /** Those of clients inside as well, where they are led elsewhere: a flow does not tell whose it is. */
  readonly endpoints: readonly Endpoint[];
}

/**
 * Which UDP flows may have become stale. The kernel keeps sending a flow's packets to the endpoint it first chose, or
 * nowhere if there was none, for as long as the client goes on; UDP has nothing that would end it. So flows are to be
 * looked over when a frontend loses an endpoint, goes, or gets its first one; not when it only gets one more.
 */
export class StaleFlows {
  /** Frontends to look over, `ip port`, with the Service port that had or has them. */
  readonly #frontends = new Map<string, { readonly servicePort: string; readonly ip: Ip; readonly port: number }>();

  /** Notes changes that the kernel has carried out. */
  note(changes: readonly ServicePortChange[]): void {
    // What one Service port loses another may gain in the same step: so gains come last.
    for (const { previous, current } of changes) this.#noteLosses(previous, current);
    for (const { previous, current } of changes) this.#noteGains(previous, current);
  }

  /** What is to be looked over, as of these Service ports. */
  review(servicePorts: ReadonlyMap<string, ServicePort>): FlowReview[] {
    return [...this.#frontends.values()].map(({ servicePort, ip, port }) => {
      const owner = servicePorts.get(servicePort);
      return { ip, port, endpoints: endpointsAt(owner, { ip, port }) };
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
      const kept = new Set(endpointsAt(now, frontend).map(endpointText));
      const lost = endpointsAt(previous, frontend).some((endpoint) => !kept.has(endpointText(endpoint)));
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

function endpointsAt(port: ServicePort | undefined, at: Pick<Frontend, 'ip' | 'port'>): readonly Endpoint[] {
  const frontend = port?.frontends.find(({ ip, port }) => ip === at.ip && port === at.port);
  if (frontend === undefined) return [];
  const { endpoints, inside } = frontend;
  return inside === undefined ? endpoints : [...endpoints, ...inside.endpoints];
}

function endpointText({ ip, port }: Endpoint): string {
  return `${ip} ${port}`;
}
