import type { ServicePortChange } from '../model/service-model.ts';
import type { Destination, Endpoint, Frontend, ServicePort } from '../model/types.ts';
import type { Ip } from '../net/ip.ts';

/** An address and UDP port that clients send to, and where its flows may lead; flows that lead elsewhere are stale. */
export interface FlowReview {
  readonly ip: Ip;
  readonly port: number;
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
      return { ip, port, endpoints: endpointsOf(owner && frontendAt(owner, { ip, port })) };
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
      const kept = new Set(endpointsOf(now && frontendAt(now, frontend)).map(endpointText));
      const lost = endpointsOf(frontend).some((endpoint) => !kept.has(endpointText(endpoint)));
      if (lost) this.#note(previous.name, frontend);
    }
  }

  #noteGains(previous: ServicePort | undefined, current: ServicePort | undefined): void {
    if (current?.protocol !== 'UDP') return;
    const before = previous?.protocol === 'UDP' ? previous : undefined;
    for (const frontend of current.frontends) {
      const earlier = before && frontendAt(before, frontend);
      if (gainedFirst(earlier, frontend) || gainedFirst(earlier?.inside, frontend.inside)) {
        this.#note(current.name, frontend);
      }
    }
  }

  #note(servicePort: string, { ip, port }: Frontend): void {
    this.#frontends.set(`${ip} ${port}`, { servicePort, ip, port });
  }
}

function frontendAt(port: ServicePort, at: Pick<Frontend, 'ip' | 'port'>): Frontend | undefined {
  return port.frontends.find((frontend) => frontend.ip === at.ip && frontend.port === at.port);
}

/** All that flows of a frontend may lead to, whoever their clients are. */
function endpointsOf(frontend: Frontend | undefined): readonly Endpoint[] {
  if (frontend?.inside === undefined) return frontend?.endpoints ?? [];
  return [...frontend.endpoints, ...frontend.inside.endpoints];
}

function gainedFirst(before: Destination | undefined, now: Destination | undefined): boolean {
  return (before?.endpoints ?? []).length === 0 && (now?.endpoints ?? []).length > 0;
}

function endpointText({ ip, port }: Endpoint): string {
  return `${ip} ${port}`;
}
