import type { IpFamily } from '../../net/ip.ts';
import type { Protocol } from '../../net/port.ts';
import type { SetDeclaration, SetType } from '../../rules/ipset/syntax.ts';
import type { VirtualAddress } from '../../rules/ipvs/syntax.ts';

/** The dummy device that has the Services' addresses, so that packets to them are for this node. */
export const dummyDevice = 'kube-ipvs0';

/** A set of ours: what it is made of. Names are kube-proxy's where kube-proxy has one for the purpose. */
interface SetShape {
  readonly type: SetType;
  readonly marks?: true;
}

const addressAndPort = { type: 'hash:ip,port' } as const;
const port = { type: 'bitmap:port' } as const;

const shapes = {
  /** endpoint, its port, and itself as a client: a Pod that was sent back to itself */
  'KUBE-LOOP-BACK': { type: 'hash:ip,port,ip' },
  /** cluster IPs with their ports */
  'KUBE-CLUSTER-IP': addressAndPort,
  /** those of them whose clients all appear as the node */
  'KUBE-CLUSTER-IP-MASQ': addressAndPort,
  /** external IPs whose clients appear as the node, and those whose clients keep their address */
  'KUBE-EXTERNAL-IP': addressAndPort,
  'KUBE-EXTERNAL-IP-LOCAL': addressAndPort,
  /** balancers' addresses, and those of them whose clients keep their address */
  'KUBE-LOAD-BALANCER': addressAndPort,
  'KUBE-LOAD-BALANCER-LOCAL': addressAndPort,
  /** addresses that only some may reach, and who: by address, and by block */
  'KUBE-LOAD-BALANCER-FW': addressAndPort,
  'KUBE-LOAD-BALANCER-SOURCE-IP': { type: 'hash:ip,port,ip' },
  'KUBE-LOAD-BALANCER-SOURCE-CIDR': { type: 'hash:ip,port,net' },
  /** node ports whose clients appear as the node; an address and port for SCTP, which has no set of ports */
  'KUBE-NODE-PORT-TCP': port,
  'KUBE-NODE-PORT-UDP': port,
  'KUBE-NODE-PORT-SCTP-HASH': addressAndPort,
  /** node ports whose clients keep their address */
  'KUBE-NODE-PORT-LOCAL-TCP': port,
  'KUBE-NODE-PORT-LOCAL-UDP': port,
  'KUBE-NODE-PORT-LOCAL-SCTP-HASH': addressAndPort,
  /** ports at which balancers ask for the health of Services */
  'KUBE-HEALTH-CHECK-NODE-PORT': port,
  /** all addresses on the dummy device */
  'KUBE-IPVS-IPS': { type: 'hash:ip' },
  /** addresses that lead Pods and this node elsewhere than others, with the mark that says where */
  'KUBE-INSIDE': { ...addressAndPort, marks: true },
  /** addresses without an endpoint: refused, and left without an answer */
  'KUBE-NO-ENDPOINTS': addressAndPort,
  'KUBE-NO-ENDPOINTS-DROP': addressAndPort,
} as const satisfies { readonly [name: string]: SetShape };

/** The name of a set in IPv4. */
export type SetName = keyof typeof shapes;

/** All sets there are, in each family. */
export const setNames = Object.keys(shapes) as readonly SetName[];

/** The kernel takes names of 31 bytes; as kube-proxy does, what is longer is cut. */
const longestName = 31;

/** A set's name in a family: `KUBE-CLUSTER-IP`, `KUBE-6-CLUSTER-IP`. */
export function setNameIn(name: SetName, family: IpFamily): string {
  return family === 'IPv4' ? name : name.replace('KUBE-', 'KUBE-6-').slice(0, longestName);
}

/** A set of a family. */
export function setDeclaration(name: SetName, family: IpFamily): SetDeclaration {
  const shape: SetShape = shapes[name];
  return { name: setNameIn(name, family), family, ...shape };
}

/** Chains, of which several tables have one of the same name. */
export const chainNames = {
  services: 'KUBE-SERVICES',
  loadBalancer: 'KUBE-LOAD-BALANCER',
  clusterIp: 'KUBE-CLUSTER-IP',
  nodePort: 'KUBE-NODE-PORT',
  markMasquerade: 'KUBE-MARK-MASQ',
  postrouting: 'KUBE-POSTROUTING',
  firewall: 'KUBE-PROXY-FIREWALL',
  sourceRanges: 'KUBE-SOURCE-RANGES-FIREWALL',
  inside: 'KUBE-INSIDE',
  filter: 'KUBE-IPVS-FILTER',
  forward: 'KUBE-FORWARD',
} as const;

/**
 * The marks of packets that are led by `KUBE-INSIDE`: these bits of the mark say so, and the others which virtual
 * server is meant. IPVS takes a packet's mark as a whole.
 */
export const insideMark = 0x50000000;
export const insideMask = 0xfe000000;
/** How many there can be. */
export const insideMarks = 1 << 22;
const datagramBit = 0x01000000;

/**
 * The mark of a number below `insideMarks`; it tells also whether connections are UDP's. Bits 14 and 15 are left to
 * those who ask for masquerade and drop, as Kubernetes has it unless told.
 */
export function insideMarkOf(number: number, protocol: Lowercase<Protocol>): number {
  return insideMark + (protocol === 'udp' ? datagramBit : 0) + ((number >> 14) << 16) + (number & 0x3fff);
}

/** The number of such a mark; `undefined` for any other. */
export function insideNumberOf(mark: number): number | undefined {
  if ((mark & insideMask) >>> 0 !== insideMark) return undefined;
  return (((mark >> 16) & 0xff) << 14) + (mark & 0x3fff);
}

/** Whether what goes to a virtual server are datagrams, which have no end that could be waited for. */
export function isDatagramServer(address: VirtualAddress): boolean {
  if (!('mark' in address)) return address.protocol === 'udp';
  return insideNumberOf(address.mark) !== undefined && (address.mark & datagramBit) !== 0;
}
