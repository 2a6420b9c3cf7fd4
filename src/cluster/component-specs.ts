import { dirname, join } from 'node:path';
import { nodeApiClient } from '../api/node-api.ts';
import { serviceAccountIssuer } from '../apiserver/config.ts';
import { clientFileName } from '../apiserver/pki.ts';
import { formatCidr } from '../net/cidr.ts';
import { urlHost } from '../net/ip.ts';
import type { ProxyMode } from '../proxy/proxy-mode.ts';
import type { NetworkPaths } from './network.ts';
import { proxyNodeOptions } from './node-options.ts';
import type { ClusterPlan, PlannedNode } from './plan.ts';
import type { ClusterPaths } from './state.ts';

/** Port of the API server on the node network. */
export const apiPortInside = 6443;

/** Who a component is to the API server: the user and groups of its client certificate. */
export interface Identity {
  readonly user: string;
  readonly groups: readonly string[];
}

/** Who the cluster itself and its user act as. */
export const administrator: Identity = { user: 'admin', groups: ['system:masters'] };
const controllersIdentity: Identity = { user: 'system:kube-controller-manager', groups: [] };
const speakerIdentity: Identity = { user: 'signalbox:speaker', groups: [] };
const nodeDnsIdentity: Identity = { user: 'signalbox:node-dns', groups: [] };
const publisherIdentity: Identity = { user: 'signalbox:publisher', groups: [] };
const proxyIdentity: Identity = { user: 'system:kube-proxy', groups: [] };

function nodeIdentity(node: PlannedNode): Identity {
  return { user: `system:node:${node.name}`, groups: ['system:nodes'] };
}

/** Everybody in every cluster who has a client certificate. */
export function clusterIdentities(plan: ClusterPlan): Identity[] {
  return [
    administrator,
    controllersIdentity,
    proxyIdentity,
    speakerIdentity,
    nodeDnsIdentity,
    ...plan.nodes.map(nodeIdentity),
  ];
}

/** How what runs within the node agents, beside them, reaches the API. */
export const speakerAccess = { name: 'speaker', identity: speakerIdentity } as const;
export const nodeDnsAccess = { name: 'node-dns', identity: nodeDnsIdentity } as const;

/** A component to be run: its subcommand, what it is told, and as whom it speaks to the API. */
export interface PlannedComponent {
  readonly name: string;
  readonly command: 'apiserver' | 'controllers' | 'node' | 'proxy' | 'publisher';
  readonly config: object;
  /** Options of Node itself. */
  readonly nodeOptions?: readonly string[];
  readonly identity?: Identity;
  /** Path of the network namespace it runs in; the cluster's own when absent. */
  readonly netns?: string;
}

/** What the components of a cluster are planned from. */
export interface ComponentPlanOptions {
  readonly plan: ClusterPlan;
  readonly paths: ClusterPaths;
  readonly network: NetworkPaths;
  /** Entry file of the command line; the built-in images lie beside it. */
  readonly program: string;
  readonly proxyMode: ProxyMode;
  /** Whether each node has a DNS server of its own. */
  readonly nodeLocalDns: boolean;
  /** The file descriptors under which the API server finds its listening sockets. */
  readonly apiFds: readonly number[];
  /** Under which the publisher finds its channel to the host; no publisher when absent. */
  readonly publisherChannel?: number;
}

/** Everything a cluster runs beside Pods, in the order to start it: what others wait for comes first. */
export function planComponents(options: ComponentPlanOptions): PlannedComponent[] {
  const { plan, paths } = options;
  return [
    { name: 'apiserver', command: 'apiserver', config: apiserverConfig(options) },
    {
      name: 'controllers',
      command: 'controllers',
      config: {
        clusterCidr: blocks(plan, 'pods').join(','),
        rootCaFile: join(paths.pki, 'ca.crt'),
        // There is one, kept running by the supervisor: after a crash it need not wait for its own lease to end.
        leaderElection: false,
        loadBalancer: { pools: [{ name: 'default', addresses: plan.balancerRanges }] },
      },
      identity: controllersIdentity,
    },
    ...plan.nodes.flatMap((node) => [nodeAgent(node, options), proxy(node, options)]),
    ...publisher(options),
  ];
}

/** The one of a cluster, if it has one. */
function publisher({ paths, network, publisherChannel }: ComponentPlanOptions): PlannedComponent[] {
  if (publisherChannel === undefined) return [];
  return [
    {
      name: 'publisher',
      command: 'publisher',
      netns: network.host,
      identity: publisherIdentity,
      config: { record: paths.published, salt: paths.dir, channel: publisherChannel },
    },
  ];
}

/** The blocks of all families, as text. */
function blocks(plan: ClusterPlan, which: 'nodes' | 'outside' | 'pods' | 'services'): string[] {
  return plan.networks.map((network) => formatCidr(network[which]));
}

function apiserverConfig({ plan, paths, apiFds }: ComponentPlanOptions): object {
  const client = clientFileName(nodeApiClient);
  return {
    listen: apiFds.map((fd) => ({ fd })),
    dataDir: paths.data,
    pkiDir: paths.pki,
    serviceAccountIssuer: serviceAccountIssuer(plan.domain),
    nodeClient: { certFile: join(paths.pki, `${client}.crt`), keyFile: join(paths.pki, `${client}.key`) },
    serviceCidrs: blocks(plan, 'services'),
    advertise: { address: plan.apiServers[0], port: apiPortInside },
  };
}

/** The files of the certificate that a node's API is served with. */
export function servingName(node: PlannedNode): string {
  return `kubelet-${node.name}`;
}

function nodeAgent(node: PlannedNode, options: ComponentPlanOptions): PlannedComponent {
  const { plan, paths, network, program, nodeLocalDns } = options;
  return {
    name: node.name,
    command: 'node',
    netns: network.node(node.name),
    identity: nodeIdentity(node),
    config: {
      nodeName: node.name,
      nodeIps: node.ips,
      podCidrs: node.podCidrs.map(formatCidr),
      // While the node's own is away, resolvers turn to the Service.
      clusterDns: nodeLocalDns ? [plan.nodeLocalDnsIps[0], plan.dnsServiceIps[0]] : plan.dnsServiceIps,
      clusterDomain: plan.domain,
      stateDir: join(paths.nodes, node.name),
      runDir: join(paths.run, node.name),
      labels: { 'topology.kubernetes.io/zone': node.zone },
      api: {
        certFile: join(paths.pki, `${servingName(node)}.crt`),
        keyFile: join(paths.pki, `${servingName(node)}.key`),
        clientCaFile: join(paths.pki, 'ca.crt'),
      },
      imageDir: join(dirname(program), 'images'),
      speaker: { kubeconfig: accessFile(paths, speakerAccess) },
      ...(nodeLocalDns && { nodeLocalDns: nodeDns(options) }),
    },
  };
}

/** Where the kubeconfig of something within the node agents is. */
export function accessFile(paths: ClusterPaths, { name }: { readonly name: string }): string {
  return join(paths.components, `${name}.kubeconfig`);
}

/** What the DNS server of a node is told: as those behind the Service, with its pages for the node and its Pods alone. */
function nodeDns({ plan, paths }: ComponentPlanOptions): object {
  const [address] = plan.nodeLocalDnsIps;
  return {
    listen: plan.nodeLocalDnsIps.map((ip) => ({ address: ip, port: 53 })),
    clusterDomain: plan.domain,
    upstreams: upstreams(plan),
    health: { address, port: 8080 },
    ready: { address, port: 8181 },
    metrics: { address, port: 9253 },
    kubeconfig: accessFile(paths, nodeDnsAccess),
  };
}

/** Who is asked for other names: the cluster's own router passes these on to the host's resolvers. */
export function upstreams(plan: ClusterPlan): string[] {
  return [`${urlHost(plan.nodeGateways[0])}:53`];
}

function proxy(node: PlannedNode, { plan, network, proxyMode }: ComponentPlanOptions): PlannedComponent {
  return {
    name: `${node.name}-proxy`,
    command: 'proxy',
    nodeOptions: proxyNodeOptions,
    netns: network.node(node.name),
    identity: proxyIdentity,
    config: {
      apiVersion: 'kubeproxy.config.k8s.io/v1alpha1',
      kind: 'KubeProxyConfiguration',
      mode: proxyMode,
      hostnameOverride: node.name,
      // Every node has the addresses of Services there, and only one may answer for them.
      ipvs: { strictARP: true },
      clusterCIDR: blocks(plan, 'pods').join(','),
      // A client outside may use any address of a node, on either of its networks. What the iptables mode does if not
      // told otherwise goes beyond: all addresses of the node, loopback as well, as people know it from kube-proxy.
      ...(proxyMode === 'iptables'
        ? {}
        : { nodePortAddresses: [...blocks(plan, 'nodes'), ...blocks(plan, 'outside')] }),
      // What is the machine's is its owner's to set: how many connections it tracks, and whose memory it takes first.
      conntrack: { maxPerCore: 0 },
      oomScoreAdj: 0,
    },
  };
}
