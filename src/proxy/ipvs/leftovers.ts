import { insideNumberOf, type SetName, setNameIn, setNames } from '../../backends/ipvs/names.ts';
import { type Cidr, cidrContains } from '../../net/cidr.ts';
import type { IpFamily } from '../../net/ip.ts';
import type { SetDeclaration, SetEntry } from '../../rules/ipset/syntax.ts';
import { printVirtualAddress } from '../../rules/ipvs/print.ts';
import { type Resource, resourceKey } from '../../rules/ipvs/resources.ts';
import type { VirtualAddress, VirtualServer } from '../../rules/ipvs/syntax.ts';
import type { ServicesKernel } from './kernel.ts';

/** How our virtual servers are told from others'. */
export interface Ownership {
  /** Whether a Service asks for the virtual server of this name, or did so. */
  readonly isWanted: (key: string) => boolean;
  /** Others' for certain, unless a Service asks for them. */
  readonly excludeCidrs: readonly Cidr[];
}

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/** The sets that say at which addresses and ports something of ours is served. */
const served: readonly SetName[] = [
  'KUBE-CLUSTER-IP',
  'KUBE-EXTERNAL-IP',
  'KUBE-EXTERNAL-IP-LOCAL',
  'KUBE-LOAD-BALANCER',
  'KUBE-NODE-PORT-SCTP-HASH',
  'KUBE-NODE-PORT-LOCAL-SCTP-HASH',
];
const nodePorts = {
  tcp: ['KUBE-NODE-PORT-TCP', 'KUBE-NODE-PORT-LOCAL-TCP'],
  udp: ['KUBE-NODE-PORT-UDP', 'KUBE-NODE-PORT-LOCAL-UDP'],
  sctp: [],
} as const;

/**
 * All that is ours in the kernel, by key, whoever left it there. Sets with our names and the addresses on the dummy
 * device are; of virtual servers those that our sets have, those with marks of ours, and those that Services ask for.
 */
export function* leftovers(
  kernel: ServicesKernel,
  ownership: Ownership,
): Generator<undefined, Map<string, Resource>, undefined> {
  const found = new Map<string, Resource>();
  const add = (resource: Resource) => found.set(resourceKey(resource), resource);
  const names = new Set(kernel.ipset.names());
  for (const family of families) {
    for (const name of setNames) {
      const setName = setNameIn(name, family);
      const loaded = names.has(setName) ? kernel.ipset.load(setName) : undefined;
      yield;
      if (loaded === undefined) continue;
      const { entries, ...declaration } = loaded;
      const set: SetDeclaration = { ...declaration, family };
      for (const entry of entries) add({ kind: 'entry', set, entry });
    }
  }
  for (const ip of kernel.addresses.list()) add({ kind: 'address', ip });
  yield;
  const servers = yield* kernel.ipvs.list();
  for (const server of servers) if (isOurs(server, found, ownership)) add({ kind: 'virtual-server', server });
  return found;
}

function isOurs(
  { address }: VirtualServer,
  found: ReadonlyMap<string, Resource>,
  { isWanted, excludeCidrs }: Ownership,
): boolean {
  if (isWanted(printVirtualAddress(address))) return true;
  if ('mark' in address) return insideNumberOf(address.mark) !== undefined;
  if (excludeCidrs.some((block) => cidrContains(block, address.ip))) return false;
  return claims(address).some((key) => found.has(key));
}

/** The entries of sets any of which shows that what is served at an address is ours. */
function claims(address: Exclude<VirtualAddress, { readonly mark: number }>): string[] {
  const { protocol, ip, port } = address;
  const family: IpFamily = ip.includes(':') ? 'IPv6' : 'IPv4';
  const key = (name: SetName, entry: SetEntry) =>
    resourceKey({ kind: 'entry', set: { name: setNameIn(name, family), type: 'hash:ip,port', family }, entry });
  return [
    ...served.map((name) => key(name, { ip, protocol, port })),
    ...nodePorts[protocol].map((name) => key(name, { port })),
  ];
}
