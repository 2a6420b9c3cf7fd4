import { isKernelError } from '../kernel/ffi.ts';
import { connectFrom, connectLoopback } from '../kernel/netns-connect.ts';
import type { Ip } from '../net/ip.ts';
import { readPage } from './read-page.ts';

/** Somebody who follows the API, so that Services work, and how far it has come. */
export interface Follower {
  readonly kind: 'proxy' | 'dns';
  /** For a user: which one it is. */
  readonly name: string;
  /** By the plural name of a resource. Empty when it says nothing of them (yet), absent when it did not answer in time. */
  readonly versions?: { readonly [resource: string]: number };
}

/** Where followers are asked. */
export interface FollowerPlaces {
  readonly nodes: readonly { readonly name: string; readonly netns: string }[];
  /** Of the DNS server that each node has, if it has one. */
  readonly nodeDns: Ip | undefined;
  /** Of the Pods that are cluster DNS. */
  readonly dnsPods: readonly Ip[];
}

const ports = { proxy: 10249, dns: 9153, nodeDns: 9253 };
const timeoutMs = 1_000;

/** Asks all proxies and DNS servers of a cluster how far they have come, by their metrics. */
export async function readFollowers({ nodes, nodeDns, dnsPods }: FollowerPlaces): Promise<Follower[]> {
  const proxies = nodes.map(({ name, netns }) =>
    follower('proxy', `the proxy of ${name}`, () => connectLoopback({ netns, port: ports.proxy, timeoutMs })),
  );
  const nodeServers = nodes.flatMap(({ name, netns }) =>
    nodeDns === undefined
      ? []
      : [follower('dns', `DNS of ${name}`, () => connectFrom({ netns, port: ports.nodeDns, timeoutMs }, nodeDns))],
  );
  const pods = dnsPods.map((ip) =>
    follower('dns', `DNS at ${ip}`, () => connectFrom({ netns: undefined, port: ports.dns, timeoutMs }, ip)),
  );
  return Promise.all([...proxies, ...nodeServers, ...pods]);
}

async function follower(
  kind: Follower['kind'],
  name: string,
  connect: () => ReturnType<typeof connectLoopback>,
): Promise<Follower> {
  try {
    return { kind, name, versions: versionsIn(await readPage(await connect(), '/metrics', timeoutMs)) };
  } catch (error) {
    return isKernelError(error, 'ECONNREFUSED') ? { kind, name, versions: {} } : { kind, name };
  }
}

/** What `signalbox_proxy_resource_version` and `signalbox_dns_resource_version` say. */
export function versionsIn(metrics: string): { readonly [resource: string]: number } {
  const lines = metrics.matchAll(/^signalbox_\w+_resource_version\{resource="(\w+)"\} (\d+)$/gm);
  return Object.fromEntries([...lines].map(([, resource = '', version]) => [resource, Number(version)]));
}
