import type { Logger } from '../component/log.ts';
import { keepServingPages, type Page } from '../component/pages.ts';
import type { HealthCheck, NodeFacts } from '../model/types.ts';
import { familyOf, type Ip, type IpFamily, parseIp } from '../net/ip.ts';

/** What the servers need beside the checks themselves. */
export interface ServiceHealthOptions {
  readonly log: Logger;
  /** Nobody is answered before. */
  readonly after: Promise<void>;
  /** Whether the proxy keeps up with the API. */
  readonly isHealthy: () => boolean;
  /** Told each time that the port of a check cannot be had. */
  readonly onTaken: (check: HealthCheck, error: unknown) => void;
}

/** One Service's check, as it is now, and who answers it. */
interface Served {
  check: HealthCheck;
  /** By address. */
  readonly listeners: Map<Ip, Listener>;
}

interface Listener {
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

const unspecified: { readonly [F in IpFamily]: Ip } = { IPv4: parseIp('0.0.0.0'), IPv6: parseIp('::') };

/**
 * Answers the health checks of balancers: a server for each Service that has `healthCheckNodePort`, on the addresses
 * that serve node ports, 200 as long as there are endpoints on this node and 503 otherwise. A port that is taken is
 * tried again until it is free.
 */
export class ServiceHealthServers {
  readonly #options: ServiceHealthOptions;
  readonly #served = new Map<string, Served>();
  /** What is to end, until it has: its address may be wanted again. */
  readonly #ending = new Set<Promise<void>>();

  constructor(options: ServiceHealthOptions) {
    this.#options = options;
  }

  /** Starts and stops servers so that exactly these checks are answered on this node. */
  update(checks: Iterable<HealthCheck>, node: Pick<NodeFacts, 'nodePortAddresses' | 'nodePortsEverywhere'>): void {
    const wanted = new Map([...checks].map((check) => [`${check.namespace}/${check.name}`, check]));
    const addresses = listenAddresses(node);
    for (const [service, served] of this.#served) {
      const check = wanted.get(service);
      const gone = check === undefined || check.port !== served.check.port;
      for (const ip of served.listeners.keys()) if (gone || !addresses.has(ip)) this.#end(served, ip);
      if (gone) this.#served.delete(service);
    }
    for (const [service, check] of wanted) {
      const served = this.#served.get(service) ?? { check, listeners: new Map() };
      served.check = check;
      this.#served.set(service, served);
      for (const ip of addresses) if (!served.listeners.has(ip)) this.#begin(served, ip);
    }
  }

  /** Resolves when nothing is answered any more. */
  async close(): Promise<void> {
    this.update([], { nodePortAddresses: [], nodePortsEverywhere: [] });
    await Promise.all(this.#ending);
  }

  #begin(served: Served, ip: Ip): void {
    const { log, after, onTaken } = this.#options;
    const stop = new AbortController();
    const { port } = served.check;
    // A server that ends may hold the address still.
    const done = Promise.all([after, ...this.#ending]).then(() =>
      stop.signal.aborted
        ? undefined
        : keepServingPages({ host: ip, port, ipv6Only: true }, () => this.#answer(served.check), {
            signal: stop.signal,
            log,
            onTaken: (error) => onTaken(served.check, error),
          }),
    );
    served.listeners.set(ip, { stop, done });
  }

  #end(served: Served, ip: Ip): void {
    const listener = served.listeners.get(ip);
    if (listener === undefined) return;
    served.listeners.delete(ip);
    listener.stop.abort();
    const ended = listener.done.finally(() => this.#ending.delete(ended));
    this.#ending.add(ended);
  }

  #answer({ namespace, name, localEndpoints }: HealthCheck): Page {
    const serviceProxyHealthy = this.#options.isHealthy();
    return {
      status: localEndpoints > 0 && serviceProxyHealthy ? 200 : 503,
      type: 'application/json',
      headers: { 'x-load-balancing-endpoint-weight': String(localEndpoints) },
      body: JSON.stringify({ service: { namespace, name }, localEndpoints, serviceProxyHealthy }),
    };
  }
}

/** Where node ports are served on all addresses, one socket is for those that come later too. */
function listenAddresses({
  nodePortAddresses,
  nodePortsEverywhere,
}: Parameters<ServiceHealthServers['update']>[1]): Set<Ip> {
  const single = nodePortAddresses.filter((ip) => !nodePortsEverywhere.includes(familyOf(ip)));
  return new Set([...nodePortsEverywhere.map((family) => unspecified[family]), ...single]);
}
