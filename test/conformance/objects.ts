import type { Endpoint, EndpointSlice, LoadBalancerIngress, Service } from '../../src/api/generated/types.ts';
import type { Attempt, Outcome } from '../../src/model/predict.ts';
import { ServiceModel } from '../../src/model/service-model.ts';
import type { LocalTraffic, NodeFacts } from '../../src/model/types.ts';
import { bits, formatCidr, parseCidr } from '../../src/net/cidr.ts';
import { type Ip, type IpFamily, parseIp } from '../../src/net/ip.ts';
import { ChangeTracker } from '../../src/tracker/change-tracker.ts';
import {
  addresses,
  type ClientName,
  clusterIp,
  deviceOf,
  families,
  hostPort,
  nodeAddresses,
  nodeOf,
  podBlocks,
  podNames,
  podPort,
} from './places.ts';
import type { Call, EndpointSetting, NodeSetting, Scenario, ServiceSetting, Target } from './scenario.ts';

const defaultPort = 80;
const loopback = parseIp('127.0.0.1');
/** A port of the node that somebody else listens on at its other address. */
export const otherNodePort = 30_090;

/** The Services of a scenario as the API has them, in both families unless told. */
function servicesOf({ services, firstService = 0 }: Scenario): Service[] {
  return services.map((setting, index) => ({
    metadata: {
      ...named(firstService + index),
      creationTimestamp: new Date(index * 1000).toISOString(),
      ...(setting.labels && { labels: setting.labels }),
    },
    spec: {
      type: setting.balancer === undefined ? 'ClusterIP' : 'LoadBalancer',
      clusterIPs: (setting.families ?? families).map((family) => clusterIp(family, firstService + index)),
      ports: [
        {
          protocol: setting.protocol ?? 'TCP',
          port: setting.port ?? defaultPort,
          ...(setting.nodePort && { nodePort: setting.nodePort }),
        },
      ],
      ...(setting.external && { externalIPs: families.map((family) => addresses[family].external) }),
      ...(setting.sources && {
        loadBalancerSourceRanges: setting.sources.flatMap((name) => families.map((f) => sourceRange(name, f))),
      }),
      ...(setting.internal && { internalTrafficPolicy: setting.internal }),
      ...(setting.outside && { externalTrafficPolicy: setting.outside }),
      ...(setting.affinity && {
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: setting.affinity } },
      }),
    },
    ...(setting.balancer && { status: { loadBalancer: { ingress: ingress(setting.balancer) } } }),
  }));
}

function ingress(ipMode: string): LoadBalancerIngress[] {
  return families.map((family) => ({ ip: addresses[family].balancer, ipMode }));
}

/** Their EndpointSlices: as many for each Service and family as it has different ports of endpoints. */
function slicesOf({ services, firstService = 0 }: Scenario): EndpointSlice[] {
  return services.flatMap(({ endpoints, protocol = 'TCP' }, index) => {
    const settings = endpoints.map((e): EndpointSetting => (typeof e === 'string' ? { on: e } : e));
    const ports = [...new Set(settings.map(portOf))];
    return families.flatMap((family) =>
      ports.map((port) => ({
        metadata: {
          ...named(firstService + index, `-${family.toLowerCase()}-${port}`),
          labels: { 'kubernetes.io/service-name': named(firstService + index).name },
        },
        addressType: family,
        ports: [{ name: '', protocol, port }],
        endpoints: settings.filter((e) => portOf(e) === port).map((e) => endpoint(e, family)),
      })),
    );
  });
}

function named(index: number, suffix = ''): { readonly namespace: string; readonly name: string } {
  return { namespace: 'default', name: `web-${index}${suffix}` };
}

function portOf({ on, port = on === 'node' ? hostPort : podPort }: EndpointSetting): number {
  return port;
}

function endpoint({ on, conditions, forNodes, forZones }: EndpointSetting, family: IpFamily): Endpoint {
  return {
    addresses: [addresses[family][on]],
    nodeName: nodeOf[on],
    ...(conditions && { conditions }),
    ...((forNodes || forZones) && {
      hints: {
        ...(forNodes && { forNodes: forNodes.map((name) => ({ name })) }),
        ...(forZones && { forZones: forZones.map((name) => ({ name })) }),
      },
    }),
  };
}

function sourceRange(name: NonNullable<ServiceSetting['sources']>[number], family: IpFamily): string {
  if (name === 'pods') return podBlocks[family].cluster;
  // TEST-NET-1 and the documentation prefix: nobody of the test bed.
  if (name === 'nobody') return family === 'IPv4' ? '192.0.2.0/24' : '2001:db8:2::/64';
  return formatCidr({ family, base: addresses[family][name], prefix: bits(family) });
}

/** What is known of the node under test. */
export function nodeFactsOf({ node = {} }: Pick<Scenario, 'node'>): NodeFacts {
  const everywhere = node.nodePorts !== undefined;
  const own = families.flatMap(nodeAddresses);
  const primary = families.map((family) => addresses[family].node);
  return {
    name: 'node-1',
    zone: node.zone,
    addresses: primary,
    nodePortAddresses: node.nodePorts === 'all and loopback' ? [...own, loopback] : everywhere ? own : primary,
    nodePortsEverywhere: everywhere ? families : [],
    localTraffic: localTraffic(node.pods ?? 'cluster'),
  };
}

function localTraffic(pods: NonNullable<NodeSetting['pods']>): LocalTraffic {
  if (pods === 'bridge') return { by: 'interface', name: 'cni0' };
  if (pods === 'prefix') return { by: 'interface-prefix', prefix: 'cni' };
  return { by: 'source', blocks: pods === 'unknown' ? [] : families.map((f) => parseCidr(podBlocks[f][pods])) };
}

/** The model of the node that the scenario's objects come to. */
export function modelOf(scenario: Scenario): ServiceModel {
  const model = new ServiceModel(nodeFactsOf(scenario), { masqueradeAll: scenario.node?.masqueradeAll === true });
  const tracker = new ChangeTracker(0);
  for (const service of servicesOf(scenario)) tracker.recordService(keyOf(service), service, 0);
  for (const slice of slicesOf(scenario)) tracker.recordSlice(keyOf(slice), slice, 0);
  model.apply(tracker.take());
  return model;
}

function keyOf({ metadata }: Service | EndpointSlice): string {
  return `${metadata?.namespace}/${metadata?.name}`;
}

/** What is called, as an address and port. */
export function targetOf(
  scenario: Scenario,
  family: IpFamily,
  { to, service = 0, port }: Pick<Call, 'to' | 'service' | 'port'>,
): { readonly ip: Ip; readonly port: number } {
  const setting = scenario.services[service];
  const ofService = to.endsWith('node-port') ? setting?.nodePort : (setting?.port ?? defaultPort);
  return {
    ip: targetAddress(to, family, (scenario.firstService ?? 0) + service),
    port: port ?? ofService ?? defaultPort,
  };
}

function targetAddress(to: Target, family: IpFamily, service: number): Ip {
  const at = addresses[family];
  switch (to) {
    case 'cluster-ip':
      return clusterIp(family, service);
    case 'node-port':
      return at.node;
    case 'other-node-port':
      return at.nodeToBeyond;
    case 'loopback-node-port':
      return loopback;
    case 'external-ip':
      return at.external;
    case 'balancer':
      return at.balancer;
  }
}

/** The call as the first packet of its connection. */
export function attemptOf(scenario: Scenario, family: IpFamily, call: Omit<Call, 'expect'>): Attempt {
  const { ip: destination, port } = targetOf(scenario, family, call);
  const protocol = (scenario.services[call.service ?? 0]?.protocol ?? 'TCP').toLowerCase() as Attempt['protocol'];
  const parts = { destination, protocol, port };
  if (call.from !== 'node')
    return { from: 'network', iif: deviceOf[call.from], source: addresses[family][call.from], ...parts };
  return { from: 'node', source: nodeSource(scenario, family, call.to), ...parts };
}

/** The address the kernel gives a process of the node that calls: of the device that the route goes out by. */
function nodeSource({ node }: Scenario, family: IpFamily, to: Target): Ip {
  const at = addresses[family];
  if (to === 'loopback-node-port') return loopback;
  if (to === 'balancer' && node?.hasBalancerAddress === true) return at.balancer;
  return to === 'cluster-ip' || to === 'node-port' ? at.node : at.nodeToBeyond;
}

/** Addresses that are the node's own while the scenario goes on. */
export function ownAddresses({ node }: Scenario, family: IpFamily): ReadonlySet<Ip> {
  const own = [...nodeAddresses(family), loopback];
  return new Set(node?.hasBalancerAddress === true ? [...own, addresses[family].balancer] : own);
}

/** What is predicted, in the words of `Call.expect`. */
export function outcomeText(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'untouched':
      return 'untouched';
    case 'reject':
      return 'refused';
    case 'drop':
      return 'silence';
    case 'served':
      return outcome.routes
        .map(({ endpoint: { ip, port }, client }) => `${answererName(ip, port)}${client === 'node' ? '*' : ''}`)
        .sort()
        .join(' ');
  }
}

/** Name of who serves at an address and port: of the Pod, with the port when it is not the usual one. */
export function answererName(ip: Ip, port: number): string {
  const { IPv4, IPv6 } = addresses;
  const names: readonly (ClientName & keyof typeof IPv4)[] = [...podNames, 'node'];
  const name = names.find((candidate) => IPv4[candidate] === ip || IPv6[candidate] === ip) ?? ip;
  return port === podPort || port === hostPort ? name : `${name}:${port}`;
}

/** An address in canonical text, of an IPv4 address seen on an IPv6 socket as well. */
export function seenAddress(text: string): Ip {
  return parseIp(text.replace(/^::ffff:/, ''));
}
