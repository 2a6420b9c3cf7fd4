import type { EndpointSlice, Node, Service, ServicePort } from '../api/generated/types.ts';
import { objectKey } from '../api/object.ts';
import { familyOf, type Ip, tryParseIp } from '../net/ip.ts';
import type { RelayTarget } from '../relay/relay.ts';
import { endpointNodes, isLocal, nodeFacts } from '../speaker/announced.ts';
import type { PublishedProtocol } from './channel.ts';

/**
 * How the host comes to a Service port: by a node port, by its balancer on 127.0.0.1, by its balancer on an address
 * that the Service has to itself, or, cluster DNS alone, by its cluster IP.
 */
export type Way = 'nodePort' | 'loadBalancer' | 'ownAddress' | 'dns';

/** What a URL of a published port begins with. */
export type Scheme = 'http' | 'https' | 'tcp' | 'udp' | 'dns';

/** Something that is to be reached from the host. */
export interface Publication {
  /** No other has it, and the same wish has the same one always: `default/web nodePort 30080/TCP`. */
  readonly key: string;
  /** `namespace/name` */
  readonly service: string;
  /** Name of the Service port; empty if it has none. */
  readonly portName: string;
  /** Of the Service. */
  readonly port: number;
  /** More than one are to have the same port. */
  readonly protocols: readonly [PublishedProtocol, ...PublishedProtocol[]];
  readonly scheme: Scheme;
  readonly way: Way;
  /** The port by which it is known: the node port, or the Service's. */
  readonly knownBy: number;
  /** Where connections are led to, the first that accepts. */
  readonly targets: readonly RelayTarget[];
}

/** What publications follow from. */
export interface ClusterObjects {
  readonly services: Iterable<Service>;
  readonly nodes: Iterable<Node>;
  readonly slicesOf: (service: string) => readonly EndpointSlice[];
}

/** Cluster DNS, in every cluster. */
const dnsService = 'kube-system/kube-dns';

/** All that is to be reached from the host. */
export function publications({ services, nodes, slicesOf }: ClusterObjects): Publication[] {
  const ready = [...nodes].filter(isReady).map(nodeFacts);
  return [...services].flatMap((service) => {
    const key = objectKey(service);
    if (!isPublished(service) || service.metadata?.deletionTimestamp !== undefined) return [];
    if (key === dnsService) return clusterDns(service);
    // A node without endpoints would let packets to its node ports fall.
    const able = isLocal(service) ? endpointNodes(slicesOf(key)) : undefined;
    const nodeIps = ready
      .filter(({ name }) => able === undefined || able.has(name))
      .flatMap(({ addresses }) => ofFamily(service, addresses));
    const balancerIps = balancerAddresses(service);
    return (service.spec?.ports ?? []).flatMap((port) => publicationsOf(key, port, { nodeIps, balancerIps }));
  });
}

/** Whether anything of a Service is: those that are to be reached from outside, and cluster DNS. */
export function isPublished(service: Service): boolean {
  const type = service.spec?.type;
  return type === 'NodePort' || type === 'LoadBalancer' || objectKey(service) === dnsService;
}

function publicationsOf(
  service: string,
  { name = '', port, nodePort, protocol = 'TCP', appProtocol }: ServicePort,
  { nodeIps, balancerIps }: { readonly nodeIps: readonly Ip[]; readonly balancerIps: readonly Ip[] },
): Publication[] {
  if (protocol !== 'TCP' && protocol !== 'UDP') return [];
  const scheme = schemeOf({ name, port, protocol, appProtocol });
  const common = { service, portName: name, port, protocols: [protocol], scheme } as const;
  const by = (way: Way, knownBy: number, targets: readonly RelayTarget[]): Publication => ({
    ...common,
    key: `${service} ${way} ${knownBy}/${protocol}`,
    way,
    knownBy,
    targets,
  });
  const balancers = balancerIps.map((ip) => ({ ip, port }));
  return [
    ...(nodePort === undefined || nodePort === 0
      ? []
      : [
          by(
            'nodePort',
            nodePort,
            nodeIps.map((ip) => ({ ip, port: nodePort })),
          ),
        ]),
    ...(balancers.length === 0 ? [] : [by('loadBalancer', port, balancers), by('ownAddress', port, balancers)]),
  ];
}

function clusterDns({ spec }: Service): Publication[] {
  const targets = (spec?.clusterIPs ?? []).flatMap((text) => tryParseIp(text) ?? []).map((ip) => ({ ip, port: 53 }));
  if (targets.length === 0) return [];
  return [
    {
      key: `${dnsService} dns`,
      service: dnsService,
      portName: 'dns',
      port: 53,
      protocols: ['UDP', 'TCP'],
      scheme: 'dns',
      way: 'dns',
      knownBy: 53,
      targets,
    },
  ];
}

/** Those that the nodes' rules serve: not of a balancer that answers for itself (`ipMode: Proxy`, KEP-1860). */
function balancerAddresses({ spec, status }: Service): Ip[] {
  if (spec?.type !== 'LoadBalancer') return [];
  const ingress = status?.loadBalancer?.ingress ?? [];
  return ingress.flatMap(({ ip, ipMode = 'VIP' }) => (ipMode === 'VIP' ? (tryParseIp(ip ?? '') ?? []) : []));
}

/** Of the Service's first family: node ports of the other lead to the same endpoints. */
function ofFamily({ spec }: Service, addresses: readonly Ip[]): Ip[] {
  const [family] = spec?.ipFamilies ?? [];
  return addresses.filter((ip) => family === undefined || familyOf(ip) === family).slice(0, 1);
}

function isReady({ status }: Node): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') === true;
}

const schemeOfAppProtocol: ReadonlyMap<string, Scheme> = new Map([
  ['http', 'http'],
  ['https', 'https'],
  // KEP-3726: cleartext HTTP/2, WebSocket with and without TLS.
  ['kubernetes.io/h2c', 'http'],
  ['kubernetes.io/ws', 'http'],
  ['kubernetes.io/wss', 'https'],
]);

/** By `appProtocol`, else by the name as Istio and others read it (`http-admin`), else by the well-known ports. */
function schemeOf({
  name,
  port,
  protocol,
  appProtocol,
}: {
  readonly name: string;
  readonly port: number;
  readonly protocol: PublishedProtocol;
  readonly appProtocol: string | undefined;
}): Scheme {
  if (protocol === 'UDP') return 'udp';
  if (appProtocol !== undefined) return schemeOfAppProtocol.get(appProtocol.toLowerCase()) ?? 'tcp';
  const [, named] = /^(https?)(?:-|$)/.exec(name) ?? [];
  if (named === 'http' || named === 'https') return named;
  if (port === 443) return 'https';
  return port === 80 ? 'http' : 'tcp';
}
