import { type SpawnSyncReturns, spawnSync } from 'node:child_process';
import { SignalboxError } from '../errors/error.ts';
import type { ErrorCode } from '../errors/registry.ts';
import { parseIp } from '../net/ip.ts';
import { isKernelError } from './ffi.ts';
import { openRoutes, type Routes } from './links.ts';
import { be32, encodePayload, nested, text, u8 } from './netlink/attributes.ts';
import { type NetlinkRequest, NLM_F_CREATE, NLM_F_DUMP } from './netlink/message.ts';
import { type NetlinkProtocol, type NetlinkSocket, openNetlink } from './netlink/socket.ts';
import { inFreshNetns } from './netns.ts';
import { readSysctl } from './sysctl.ts';

/** What a part of Signalbox may need of the kernel. */
export type KernelFeature = 'nftables' | 'conntrack' | 'bridge' | 'veth' | 'dummy' | 'ipvs' | 'ipset' | 'ipv6';

/**
 * Makes sure that an ordinary user can make the namespaces of a cluster: user, network, mount and PID, each really
 * made by a process that ends at once (some milliseconds). Asked once a process.
 * @throws SignalboxError `USER_NAMESPACES_FORBIDDEN` naming the setting in the way; `NAMESPACE_FAILED` when user
 *   namespaces are to be had, but not the others in one
 */
export function requireUserNamespaces(): void {
  once('user namespaces', () => {
    const whole = tryNamespaces([...userFlags, ...clusterFlags]);
    if (whole.status === 0) return;
    const user = tryNamespaces(userFlags);
    throw user.status === 0 ? namespacesFailed(whole) : userNamespacesForbidden(reasonOf(user), readSetting);
  });
}

/**
 * As `requireUserNamespaces`, for root, who needs no user namespace: in a container root may lack what it takes.
 * @throws SignalboxError `NAMESPACE_FAILED`
 */
export function requireNamespaces(): void {
  once('namespaces', () => {
    const whole = tryNamespaces(clusterFlags);
    if (whole.status !== 0) throw namespacesFailed(whole);
  });
}

/**
 * Makes sure that the kernel has a feature, by using it in a network namespace of its own: modules are loaded as they
 * would be in earnest, and nothing is left. Asked once a process; main thread, with the rights to make a network
 * namespace.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`, `KERNEL_LACKS_IPVS` or `KERNEL_LACKS_FEATURE`; `NOT_MAIN_THREAD`, `NAMESPACE_FAILED`
 */
export function requireKernelFeature(feature: KernelFeature): void {
  once(feature, () =>
    inFreshNetns(() => {
      try {
        probes[feature]();
      } catch (error) {
        throw isKernelError(error) ? lacking(feature, error) : error;
      }
    }),
  );
}

/** Outcomes by question: `undefined` for yes, else the error that says no. */
const outcomes = new Map<string, unknown>();

function once(question: string, ask: () => void): void {
  if (!outcomes.has(question)) outcomes.set(question, thrownBy(ask));
  const error = outcomes.get(question);
  if (error !== undefined) throw error;
}

function thrownBy(ask: () => void): unknown {
  try {
    ask();
    return undefined;
  } catch (error) {
    return error;
  }
}

const userFlags = ['--user', '--map-root-user'];
const clusterFlags = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--propagation', 'private'];
const tryTimeout = 5_000;

function tryNamespaces(flags: readonly string[]): SpawnSyncReturns<string> {
  const stdio: ('ignore' | 'pipe')[] = ['ignore', 'ignore', 'pipe'];
  return spawnSync('unshare', [...flags, '--', 'true'], { stdio, encoding: 'utf8', timeout: tryTimeout });
}

function reasonOf({ error, stderr, status }: SpawnSyncReturns<string>): string {
  if (error !== undefined) return 'code' in error && error.code === 'ENOENT' ? 'no program unshare' : error.message;
  return stderr.trim() === '' ? `unshare ended with status ${status}` : stderr.trim().replaceAll('\n', '; ');
}

function namespacesFailed(attempt: SpawnSyncReturns<string>): SignalboxError {
  const reason = reasonOf(attempt);
  return new SignalboxError('NAMESPACE_FAILED', {
    object: 'network, mount and PID namespaces',
    problem: `could not be made (${reason})`,
    remedy: reason.includes('/proc')
      ? 'this looks like a container that covers parts of /proc: run outside it, or give it --privileged'
      : 'install util-linux if unshare is missing; in a container, allow CAP_SYS_ADMIN or run it --privileged',
  });
}

function readSetting(name: string): string | undefined {
  try {
    return readSysctl(name);
  } catch {
    return undefined;
  }
}

/** Settings that forbid user namespaces: the value that does, and what to set it to. */
const userNamespaceSettings = [
  { name: 'kernel.unprivileged_userns_clone', forbids: '0', allows: '1' },
  { name: 'user.max_user_namespaces', forbids: '0', allows: '15000' },
  { name: 'kernel.apparmor_restrict_unprivileged_userns', forbids: '1', allows: '0' },
] as const;

/** The error for a failed try, naming the kernel parameters in the way. `read` gives a parameter's value, if it is there. */
export function userNamespacesForbidden(reason: string, read: (name: string) => string | undefined): SignalboxError {
  const inTheWay = userNamespaceSettings.filter(({ name, forbids }) => read(name) === forbids);
  const names = inTheWay.map(({ name, forbids }) => `${name}=${forbids}`).join(', ');
  const commands = inTheWay.map(({ name, allows }) => `sudo sysctl -w ${name}=${allows}`).join(' && ');
  return new SignalboxError('USER_NAMESPACES_FORBIDDEN', {
    object: 'user namespaces',
    problem: `are not allowed here (${inTheWay.length === 0 ? reason : names})`,
    remedy:
      inTheWay.length === 0
        ? 'run as root, or outside the container or sandbox that forbids unshare(2)'
        : `run ${commands}, or run as root`,
  });
}

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h, nfnetlink_conntrack.h, ipset/ip_set.h; genetlink.h
const NFNL_MSG_BATCH_BEGIN = 0x10;
const NFNL_MSG_BATCH_END = 0x11;
const NFNL_SUBSYS_CTNETLINK = 1;
const NFNL_SUBSYS_IPSET = 6;
const NFNL_SUBSYS_NFTABLES = 10;
const NFPROTO_UNSPEC = 0;
const NFPROTO_INET = 1;
const NFPROTO_IPV4 = 2;
const NFT_MSG_NEWTABLE = 0;
const NFT_MSG_NEWCHAIN = 3;
const NFTA_TABLE_NAME = 1;
const NFTA_CHAIN_TABLE = 1;
const NFTA_CHAIN_NAME = 3;
const NFTA_CHAIN_HOOK = 4;
const NFTA_CHAIN_TYPE = 7;
const NFTA_HOOK_HOOKNUM = 1;
const NFTA_HOOK_PRIORITY = 2;
const IPCTNL_MSG_CT_GET = 1;
const IPSET_CMD_PROTOCOL = 1;
const IPSET_ATTR_PROTOCOL = 1;
const IPSET_PROTOCOL = 6;
const GENL_ID_CTRL = 0x10;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_NAME = 2;

/** `struct nfgenmsg`; the resource is in network order. */
function nfgenmsg(family: number, resource = 0): Uint8Array {
  return Uint8Array.of(family, 0, resource >> 8, resource & 0xff);
}

const probes: { readonly [F in KernelFeature]: () => void } = {
  // A table with a NAT chain, for both IP families: the least that the nftables mode cannot do without.
  nftables: () => withSocket('netfilter', (socket) => socket.transact(natTable)),
  conntrack: () =>
    withSocket('netfilter', (socket) =>
      socket.request({
        type: (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET,
        flags: NLM_F_DUMP,
        payload: nfgenmsg(NFPROTO_IPV4),
      }),
    ),
  ipset: () =>
    withSocket('netfilter', (socket) =>
      socket.request({
        type: (NFNL_SUBSYS_IPSET << 8) | IPSET_CMD_PROTOCOL,
        flags: 0,
        payload: encodePayload(nfgenmsg(NFPROTO_IPV4), [u8(IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL)]),
      }),
    ),
  ipvs: () =>
    withSocket('generic', (socket) =>
      socket.request({
        type: GENL_ID_CTRL,
        flags: 0,
        payload: encodePayload(Uint8Array.of(CTRL_CMD_GETFAMILY, 1, 0, 0), [text(CTRL_ATTR_FAMILY_NAME, 'IPVS')]),
      }),
    ),
  bridge: () => withRoutes((routes) => routes.createBridge({ name: 'probe' })),
  veth: () => withRoutes((routes) => routes.createVeth({ name: 'probe', peer: { name: 'other' } })),
  dummy: () => withRoutes((routes) => routes.createDummy({ name: 'probe' })),
  ipv6: () => withRoutes((routes) => routes.addAddress('lo', { ip: parseIp('fd00::1'), prefix: 128 })),
};

const natTable: readonly NetlinkRequest[] = [
  { type: NFNL_MSG_BATCH_BEGIN, flags: 0, payload: nfgenmsg(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES) },
  {
    type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWTABLE,
    flags: NLM_F_CREATE,
    payload: encodePayload(nfgenmsg(NFPROTO_INET), [text(NFTA_TABLE_NAME, 'probe')]),
    operation: 'add table',
  },
  {
    type: (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWCHAIN,
    flags: NLM_F_CREATE,
    payload: encodePayload(nfgenmsg(NFPROTO_INET), [
      text(NFTA_CHAIN_TABLE, 'probe'),
      text(NFTA_CHAIN_NAME, 'probe'),
      nested(NFTA_CHAIN_HOOK, be32(NFTA_HOOK_HOOKNUM, 0), be32(NFTA_HOOK_PRIORITY, -100)),
      text(NFTA_CHAIN_TYPE, 'nat'),
    ]),
    operation: 'add NAT chain',
  },
  { type: NFNL_MSG_BATCH_END, flags: 0, payload: nfgenmsg(NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES) },
];

function withSocket(protocol: NetlinkProtocol, use: (socket: NetlinkSocket) => void): void {
  const socket = openNetlink(protocol);
  try {
    use(socket);
  } finally {
    socket.close();
  }
}

function withRoutes(use: (routes: Routes) => void): void {
  const routes = openRoutes();
  try {
    use(routes);
  } finally {
    routes.close();
  }
}

/** Kernel modules by feature, as modprobe knows them. */
const modules: { readonly [F in KernelFeature]: string } = {
  nftables: 'nf_tables nft_chain_nat',
  conntrack: 'nf_conntrack_netlink',
  bridge: 'bridge',
  veth: 'veth',
  dummy: 'dummy',
  ipvs: 'ip_vs ip_vs_rr',
  ipset:
    'ip_set ip_set_hash_ip ip_set_hash_ipport ip_set_hash_ipportip ip_set_hash_ipportnet ip_set_bitmap_port xt_set',
  ipv6: 'ipv6',
};

/** Codes of features that a proxy mode stands and falls with. */
const codes: { readonly [F in KernelFeature]?: ErrorCode } = {
  nftables: 'KERNEL_LACKS_NFTABLES',
  ipvs: 'KERNEL_LACKS_IPVS',
  ipset: 'KERNEL_LACKS_IPVS',
  dummy: 'KERNEL_LACKS_IPVS',
};

function lacking(feature: KernelFeature, cause: Error): SignalboxError {
  return new SignalboxError(codes[feature] ?? 'KERNEL_LACKS_FEATURE', {
    object: `kernel feature ${feature}`,
    problem: `is not usable (${cause.message})`,
    remedy: `load it (as root: modprobe -a ${modules[feature]}) or use a kernel built with it`,
    cause,
  });
}
