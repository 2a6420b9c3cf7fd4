import {
  type ConfigFields,
  type ConfigValue,
  readBoolean,
  readConfig,
  readDuration,
  readList,
  readOneOf,
  readParsed,
  readText,
} from '../component/config-fields.ts';
import { type Cidr, parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp, tryParseIp } from '../net/ip.ts';
import { isPort } from '../net/port.ts';

/** How the node's kernel is programmed. */
export const proxyModes = ['nftables', 'iptables', 'userspace'] as const;
export type ProxyMode = (typeof proxyModes)[number];

/** Ports of this machine, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** An address and port to listen on; port 0 takes a free one, which the log tells. */
interface ListenAddress {
  readonly host: Ip;
  readonly port: number;
}

/** How the proxy tells Pods of the cluster from other sources (KEP-2450). */
type LocalSources =
  | { readonly mode: 'ClusterCIDR'; readonly blocks: readonly Cidr[] }
  /** The Node object's `spec.podCIDRs`. */
  | { readonly mode: 'NodeCIDR' }
  /** What comes in through the bridge of this name. */
  | { readonly mode: 'BridgeInterface'; readonly name: string }
  /** What comes in through devices whose names begin like this. */
  | { readonly mode: 'InterfaceNamePrefix'; readonly prefix: string };

/** What the proxy of one node is to do; `parseProxyConfig` says where each setting comes from. */
export interface ProxyConfig {
  readonly mode: ProxyMode;
  /** Name of the own Node object; the host's name when absent. */
  readonly hostnameOverride: string | undefined;
  /** The node's address in place of what its Node object says, family by family; absent: the object decides. */
  readonly bindAddress: Ip | undefined;
  /** Where node ports are served: on the node's primary addresses, or on all of its addresses within blocks. */
  readonly nodePortAddresses: 'primary' | readonly Cidr[];
  readonly localSources: LocalSources;
  readonly healthzBindAddress: ListenAddress;
  readonly metricsBindAddress: ListenAddress;
  readonly nftables: {
    /** Time between comparisons with the kernel, milliseconds. */
    readonly syncPeriod: number;
    /** Least time between two transactions, milliseconds. The first change after a pause does not wait. */
    readonly minSyncPeriod: number;
    readonly masqueradeAll: boolean;
  };
  readonly userspace: {
    /** Where relays listen; absent: on any port that is free. */
    readonly ports: PortRange | undefined;
    /** A flow of datagrams nobody used for this long is forgotten, milliseconds. */
    readonly udpIdleTimeout: number;
  };
  /** Path; for whoever starts the proxy without saying how to reach the API. */
  readonly kubeconfig: string | undefined;
}

const apiVersion = 'kubeproxy.config.k8s.io/v1alpha1';

/** At most 100 transactions a second under load: well below what a person or a probe notices. */
const defaultMinSyncPeriodMs = 10;
const defaultSyncPeriodMs = 30_000;
const defaultUdpIdleMs = 250;

/** Fields of KubeProxyConfiguration that this proxy does not act on yet. */
const notYet = [
  ...['bindAddressHardFail', 'configSyncPeriod', 'conntrack', 'enableProfiling', 'featureGates'],
  ...['iptables', 'ipvs', 'linux', 'logging', 'oomScoreAdj', 'showHiddenMetricsForVersion'],
  ...['windowsRunAsService', 'winkernel'],
];

/**
 * Reads the fields of a KubeProxyConfiguration (`kubeproxy.config.k8s.io/v1alpha1`), with Kubernetes' defaults for what
 * is left out. Fields this proxy does not act on yet may be there with their zero value, as generated files have
 * them; set to anything else they are refused, and so is a field that Kubernetes does not know.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseProxyConfig(object: unknown): ProxyConfig {
  return readConfig(object, { name: 'KubeProxyConfiguration', zeroIsAbsent: true }, (fields) => {
    fields.optional('apiVersion', readOneOf([apiVersion]));
    fields.optional('kind', readOneOf(['KubeProxyConfiguration']));
    fields.unused(notYet);
    return {
      mode: fields.optional('mode', readOneOf(proxyModes)) ?? 'nftables',
      hostnameOverride: fields.optional('hostnameOverride', readText),
      bindAddress: fields.optional('bindAddress', readBindAddress),
      nodePortAddresses: fields.optional('nodePortAddresses', readNodePortAddresses) ?? 'primary',
      localSources: localSources(fields),
      healthzBindAddress: listenAddress(fields, 'healthzBindAddress', { host: parseIp('0.0.0.0'), port: 10256 }),
      metricsBindAddress: listenAddress(fields, 'metricsBindAddress', { host: parseIp('127.0.0.1'), port: 10249 }),
      nftables: fields.group('nftables', nftablesSettings),
      userspace: {
        ports: fields.optional('portRange', readPortRange),
        udpIdleTimeout: fields.optional('udpIdleTimeout', readDuration) ?? defaultUdpIdleMs,
      },
      kubeconfig: fields.group('clientConnection', (group) => {
        group.unused(['acceptContentTypes', 'burst', 'contentType', 'qps']);
        return group.optional('kubeconfig', readText);
      }),
    };
  });
}

function nftablesSettings(fields: ConfigFields): ProxyConfig['nftables'] {
  fields.unused(['masqueradeBit']);
  return {
    syncPeriod: fields.optional('syncPeriod', readDuration) ?? defaultSyncPeriodMs,
    minSyncPeriod: fields.optional('minSyncPeriod', readDuration) ?? defaultMinSyncPeriodMs,
    masqueradeAll: fields.optional('masqueradeAll', readBoolean) ?? false,
  };
}

function localSources(fields: ConfigFields): LocalSources {
  const mode = fields.optional('detectLocalMode', readOneOf(detectLocalModes)) ?? 'ClusterCIDR';
  const blocks = fields.optional('clusterCIDR', readCidrs) ?? [];
  return fields.group('detectLocal', (group) => {
    // Both are read whatever the mode is, as generated files may have both.
    for (const name of ['bridgeInterface', 'interfaceNamePrefix']) group.optional(name, readDeviceName);
    if (mode === 'BridgeInterface') return { mode, name: group.required('bridgeInterface', readDeviceName) };
    if (mode === 'InterfaceNamePrefix') return { mode, prefix: group.required('interfaceNamePrefix', readDeviceName) };
    return mode === 'NodeCIDR' ? { mode } : { mode, blocks };
  });
}
const detectLocalModes = ['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix'] as const;

function listenAddress(fields: ConfigFields, name: string, byDefault: ListenAddress): ListenAddress {
  return fields.optional(name, (at) => readListenAddress(at, byDefault.port)) ?? byDefault;
}

/** A device's name or the beginning of one: at most 15 bytes without spaces and slashes (linux/if.h). */
function readDeviceName(at: ConfigValue): string {
  const text = readText(at);
  if (/^[^\s/]{1,15}$/.test(text)) return text;
  throw at.valueError('is not the name of a network device', 'write at most 15 characters, such as cni0');
}

/** The unspecified address leaves the choice to the Node object. */
function readBindAddress(at: ConfigValue): Ip | undefined {
  const ip = readParsed(parseIp)(at);
  return ip === '0.0.0.0' || ip === '::' ? undefined : ip;
}

function readNodePortAddresses(at: ConfigValue): 'primary' | readonly Cidr[] {
  const texts = readList(readText)(at);
  return texts.length === 1 && texts[0] === 'primary' ? 'primary' : readList(readParsed(parseCidr))(at);
}

function readListenAddress(at: ConfigValue, defaultPort: number): ListenAddress {
  const text = readText(at);
  const alone = tryParseIp(text);
  if (alone !== undefined) return { host: alone, port: defaultPort };
  const [, bracketed, plain = '', port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = tryParseIp(bracketed ?? plain);
  if (host === undefined || Number(port) > 65535)
    throw at.valueError('is not an address with a port', 'write it as 0.0.0.0:10256 or [::]:10256');
  return { host, port: Number(port) };
}

/** `first-last`, `first+more` or one port, as Kubernetes writes ranges of ports; `0-0` is no range. */
function readPortRange(at: ConfigValue): PortRange | undefined {
  const text = readText(at);
  const [, first, sign, second] = /^(\d{1,5})(?:([-+])(\d{1,5}))?$/.exec(text) ?? [];
  const from = Number(first);
  const last = second === undefined ? from : sign === '+' ? from + Number(second) : Number(second);
  if (from === 0 && last === 0) return undefined;
  if (isPort(from) && isPort(last) && from <= last) return { first: from, last };
  throw at.valueError('is not a range of ports', 'write it as 32768-60999, or leave it out for any free port');
}

function readCidrs(at: ConfigValue): Cidr[] {
  const blocks = readParsed((text) => text.split(',').map((block) => parseCidr(block.trim())))(at);
  if (new Set(blocks.map(({ family }) => family)).size < blocks.length)
    throw at.error('has two blocks of one family', 'write at most one IPv4 and one IPv6 block');
  return blocks;
}
