import type { Destination, Endpoint, Frontend, HealthCheck, ServicePort } from '../../model/types.ts';
import { bits, type Cidr } from '../../net/cidr.ts';
import { familyOf, type Ip, type IpFamily, isLoopback } from '../../net/ip.ts';
import type { Protocol } from '../../net/port.ts';
import type { SetEntry } from '../../rules/ipset/syntax.ts';
import type { Resource } from '../../rules/ipvs/resources.ts';
import type { RealServer, SchedulerFlag, VirtualAddress, VirtualServerOptions } from '../../rules/ipvs/syntax.ts';
import { insideMarkOf, type SetName, setDeclaration } from './names.ts';

/** What a Service port is compiled with besides itself. */
export interface CompileOptions {
  /** How new connections are shared out: `rr`, `wrr`, `lc`, `wlc`, `sed`, `nq`, `sh`, `dh`, `mh` or another of the kernel's. */
  readonly scheduler: string;
  /** The number of an address and port that leads clients inside elsewhere; the same at every call. */
  readonly insideNumber: (frontend: InsideKey) => number;
}

/** What such a number is given to. */
export interface InsideKey {
  readonly protocol: Lowercase<Protocol>;
  readonly ip: Ip;
  readonly port: number;
}

/**
 * All that one Service port puts into the kernel, of both families: a virtual server and some entries of sets for each
 * frontend, an address on the dummy device for each that is not a node port's, and an entry for each endpoint.
 */
export function compileServicePort(port: ServicePort, options: CompileOptions): Resource[] {
  const protocol = port.protocol.toLowerCase() as Lowercase<Protocol>;
  return port.frontends
    .filter(isServed)
    .flatMap((frontend) => [
      ...entries(frontend, protocol),
      ...(frontend.kind === 'node-port' ? [] : addressOf(frontend.ip)),
      ...virtualServers(frontend, { port, protocol }, options),
      ...loopBack(frontend, protocol),
    ]);
}

/** What lets balancers in that ask for the health of a Service, where others' rules keep most out. */
export function compileHealthCheck({ port }: HealthCheck, family: IpFamily): Resource {
  return { kind: 'entry', set: setDeclaration('KUBE-HEALTH-CHECK-NODE-PORT', family), entry: { port } };
}

/** IPVS translates no packet between processes on the loopback addresses. */
function isServed({ kind, ip }: Frontend): boolean {
  return kind !== 'node-port' || !isLoopback(ip);
}

function entry(name: SetName, ip: Ip, value: SetEntry): Resource {
  return { kind: 'entry', set: setDeclaration(name, familyOf(ip)), entry: value };
}

function entries(frontend: Frontend, protocol: Lowercase<Protocol>): Resource[] {
  const { ip, port } = frontend;
  const at = { ip, protocol, port };
  const sets = setsOf(frontend, protocol);
  if (frontend.endpoints.length === 0)
    sets.push(frontend.whenEmpty === 'reject' ? 'KUBE-NO-ENDPOINTS' : 'KUBE-NO-ENDPOINTS-DROP');
  return [...sets.map((name) => entry(name, ip, isPortSet(name) ? { port } : at)), ...sourceRanges(frontend, at)];
}

function isPortSet(name: SetName): boolean {
  return setDeclaration(name, 'IPv4').type === 'bitmap:port';
}

/** The sets that tell the rules of what kind a frontend is, and whose address its clients appear with. */
function setsOf({ kind, masquerade }: Frontend, protocol: Lowercase<Protocol>): SetName[] {
  const keepsClients = masquerade === 'never';
  switch (kind) {
    case 'cluster-ip':
      return masquerade === 'always' ? ['KUBE-CLUSTER-IP', 'KUBE-CLUSTER-IP-MASQ'] : ['KUBE-CLUSTER-IP'];
    case 'external-ip':
      return [keepsClients ? 'KUBE-EXTERNAL-IP-LOCAL' : 'KUBE-EXTERNAL-IP'];
    case 'load-balancer-ip':
      return keepsClients ? ['KUBE-LOAD-BALANCER', 'KUBE-LOAD-BALANCER-LOCAL'] : ['KUBE-LOAD-BALANCER'];
    case 'node-port':
      return [nodePortSets[protocol][keepsClients ? 'local' : 'cluster']];
  }
}

const nodePortSets = {
  tcp: { cluster: 'KUBE-NODE-PORT-TCP', local: 'KUBE-NODE-PORT-LOCAL-TCP' },
  udp: { cluster: 'KUBE-NODE-PORT-UDP', local: 'KUBE-NODE-PORT-LOCAL-UDP' },
  sctp: { cluster: 'KUBE-NODE-PORT-SCTP-HASH', local: 'KUBE-NODE-PORT-LOCAL-SCTP-HASH' },
} as const;

function sourceRanges({ ip, sourceRanges: ranges }: Frontend, at: SetEntry): Resource[] {
  if (ranges === undefined) return [];
  return [
    entry('KUBE-LOAD-BALANCER-FW', ip, at),
    ...ranges
      .flatMap(halves)
      .map((net) =>
        net.prefix === bits(net.family)
          ? entry('KUBE-LOAD-BALANCER-SOURCE-IP', ip, { ...at, ip2: net.base })
          : entry('KUBE-LOAD-BALANCER-SOURCE-CIDR', ip, { ...at, net }),
      ),
  ];
}

/** A set has no word for all addresses, but for the one half and the other. */
function halves(net: Cidr): Cidr[] {
  if (net.prefix > 0) return [net];
  const upper = net.family === 'IPv4' ? '128.0.0.0' : '8000::';
  return [
    { ...net, prefix: 1 },
    { ...net, prefix: 1, base: upper as Ip },
  ];
}

function addressOf(ip: Ip): Resource[] {
  return [{ kind: 'address', ip }, entry('KUBE-IPVS-IPS', ip, { ip })];
}

function virtualServers(
  frontend: Frontend,
  { port, protocol }: { readonly port: ServicePort; readonly protocol: Lowercase<Protocol> },
  options: CompileOptions,
): Resource[] {
  const { ip, inside } = frontend;
  const at = { protocol, ip, port: frontend.port };
  const sharing = sharingOf(port, options.scheduler);
  const resources = [virtualServer(at, frontend, sharing)];
  if (inside === undefined) return resources;
  const mark = insideMarkOf(options.insideNumber(at), protocol);
  resources.push(virtualServer({ mark, family: familyOf(ip) }, inside, sharingByMark(port, sharing)));
  // Without endpoint inside there is none outside, and all are answered alike.
  if (inside.endpoints.length > 0) resources.push(entry('KUBE-INSIDE', ip, { ...at, mark }));
  return resources;
}

function virtualServer(address: VirtualAddress, { endpoints }: Destination, sharing: VirtualServerOptions): Resource {
  return { kind: 'virtual-server', server: { address, ...sharing, realServers: endpoints.map(realServer) } };
}

function realServer({ ip, port }: Endpoint): RealServer {
  return { ip, port, weight: 1, forwarding: 'masquerade' };
}

function sharingOf({ affinitySeconds }: ServicePort, scheduler: string): VirtualServerOptions {
  // Maglev hashing by the client's address alone would send all connections of a node to one endpoint.
  const schedulerFlags: readonly SchedulerFlag[] = scheduler === 'mh' ? ['port'] : [];
  return {
    scheduler,
    schedulerFlags,
    ...(affinitySeconds === undefined ? {} : { persistentSeconds: affinitySeconds }),
  };
}

/**
 * The same for packets with a mark. IPVS would send the clients that it remembers of a mark to the port that they asked
 * for, and not to the endpoint's; so where they are to stay with an endpoint, that is drawn from their address: nearly
 * all stay when endpoints change, and none moves when the time is over.
 */
function sharingByMark({ affinitySeconds }: ServicePort, sharing: VirtualServerOptions): VirtualServerOptions {
  return affinitySeconds === undefined ? sharing : { scheduler: 'mh', schedulerFlags: ['fallback'] };
}

/** Endpoints are masqueraded where they reach themselves, also if this node is only on the way between them. */
function loopBack({ endpoints, inside }: Frontend, protocol: Lowercase<Protocol>): Resource[] {
  const all = inside === undefined ? endpoints : [...endpoints, ...inside.endpoints];
  return all.map(({ ip, port }) => entry('KUBE-LOOP-BACK', ip, { ip, protocol, port, ip2: ip }));
}
