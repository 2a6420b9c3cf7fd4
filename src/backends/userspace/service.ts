import type { Destination, Endpoint, Frontend, ServicePort } from '../../model/types.ts';
import { familyOf, type Ip, type IpFamily } from '../../net/ip.ts';

/**
 * Whom a relay serves. Its clients' addresses do not reach the endpoints, so that traffic policies are told apart by
 * where rules lead a client: each destination that a Service port has on this node is a relay of its own.
 */
export type RelayRole = 'cluster-ip' | 'external' | 'inside';

/** A socket of this node that stands in for the endpoints of a Service port. */
export interface RelayPlan {
  /** Stays the same while the Service port is there, whatever its endpoints are. */
  readonly key: string;
  readonly servicePort: string;
  readonly protocol: ServicePort['protocol'];
  readonly family: IpFamily;
  /** At least one. */
  readonly endpoints: readonly Endpoint[];
  /** Clients stay with their endpoint for this long after their last new connection. */
  readonly affinitySeconds?: number;
}

/** Where a relay listens. */
export interface RelayAddress {
  readonly ip: Ip;
  readonly port: number;
}

/** The relays of a Service port, each once; none for a destination that has no endpoint, which rules answer for. */
export function relaysOf(port: ServicePort): RelayPlan[] {
  const plans = new Map<string, RelayPlan>();
  for (const frontend of port.frontends) {
    for (const { role, destination } of destinationsOf(frontend)) {
      const family = familyOf(frontend.ip);
      const key = relayKey(port, { family, role });
      if (destination.endpoints.length === 0 || plans.has(key)) continue;
      const { name: servicePort, protocol, affinitySeconds } = port;
      plans.set(key, {
        ...{ key, servicePort, protocol, family, endpoints: destination.endpoints },
        ...(affinitySeconds === undefined ? {} : { affinitySeconds }),
      });
    }
  }
  return [...plans.values()];
}

/**
 * The Service port as the rules are to have it: with its relays in place of endpoints. What the relay decides is gone
 * (the choice of an endpoint, affinity); what only the kernel can do stays (source ranges, refusing, saying nothing).
 * The answers of a relay leave from where they should anyway, so nobody is masqueraded.
 */
export function throughRelays(port: ServicePort, addressOf: (relayKey: string) => RelayAddress): ServicePort {
  const { name, protocol } = port;
  const frontends = port.frontends.map((frontend) => relayed(port, frontend, addressOf));
  return { name, protocol, frontends: [...frontends, ...relaysOf(port).map(({ key }) => guard(addressOf(key)))] };
}

/**
 * A relay's own address as a frontend that nobody answers: who was led there has been translated and comes through,
 * who goes there by himself, past source ranges, is refused.
 */
function guard(relay: RelayAddress): Frontend {
  return { kind: 'external-ip', ...relay, endpoints: [], whenEmpty: 'reject', masquerade: 'never' };
}

function relayed(port: ServicePort, frontend: Frontend, addressOf: (relayKey: string) => RelayAddress): Frontend {
  const family = familyOf(frontend.ip);
  const replaced = destinationsOf(frontend).map(({ role, destination }) => {
    const endpoints =
      destination.endpoints.length === 0 ? [] : [{ ...addressOf(relayKey(port, { family, role })), local: false }];
    return { role, destination: { endpoints, whenEmpty: destination.whenEmpty, masquerade: 'never' as const } };
  });
  const inside = replaced.find(({ role }) => role === 'inside')?.destination;
  const open = replaced.find(({ role }) => role !== 'inside')?.destination;
  return { ...frontend, ...open, ...(inside === undefined ? {} : { inside }) };
}

function destinationsOf(frontend: Frontend): { readonly role: RelayRole; readonly destination: Destination }[] {
  const role = frontend.kind === 'cluster-ip' ? 'cluster-ip' : 'external';
  const { inside } = frontend;
  return [
    { role, destination: frontend },
    ...(inside === undefined ? [] : [{ role: 'inside' as const, destination: inside }]),
  ];
}

function relayKey(port: ServicePort, { family, role }: { family: IpFamily; role: RelayRole }): string {
  return `${port.name} ${port.protocol} ${family} ${role}`;
}
