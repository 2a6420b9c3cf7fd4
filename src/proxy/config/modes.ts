import {
  type ConfigFields,
  type ConfigValue,
  readBoolean,
  readDuration,
  readList,
  readOneOf,
  readParsed,
  readText,
} from '../../component/config-fields.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';
import { isPort } from '../../net/port.ts';
import type { ProxyMode } from '../proxy-mode.ts';
import { readPeriods, readSyncGroup, type SyncSettings, syncSettings } from './sync.ts';

/** Schedulers of IPVS, as ipvsadm(8) names them. */
const ipvsSchedulers = [
  ...['rr', 'wrr', 'lc', 'wlc', 'lblc', 'lblcr', 'sh', 'dh', 'sed', 'nq', 'fo', 'ovf', 'mh', 'twos'],
] as const satisfies readonly string[];

/** What iptables mode alone can be told. */
export interface IptablesSettings {
  /** Whether IPv4 node ports are served on 127.0.0.1 too, for which the kernel must route that network. */
  readonly localhostNodePorts: boolean;
}

/** What ipvs mode alone can be told. */
export interface IpvsSettings {
  readonly scheduler: string;
  /** Virtual servers in these blocks are somebody else's, and stay. */
  readonly excludeCidrs: readonly Cidr[];
  /** Whether the node answers ARP only for addresses of the device that is asked, not for those of `kube-ipvs0`. */
  readonly strictArp: boolean;
  /** Milliseconds after which idle connections are forgotten; 0 leaves what the kernel has. */
  readonly timeouts: { readonly tcp: number; readonly tcpFin: number; readonly udp: number };
}

/** Ports of this machine, both included. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** What userspace mode alone can be told. */
export interface UserspaceSettings {
  /** Where relays listen; absent: on any port that is free. */
  readonly ports: PortRange | undefined;
  /** A flow of datagrams nobody used for this long is forgotten, milliseconds. */
  readonly udpIdleTimeout: number;
}

/** What of a KubeProxyConfiguration is about modes. */
export interface ModeSettings {
  /** For the mode in use. */
  readonly sync: SyncSettings;
  readonly iptables: IptablesSettings;
  readonly ipvs: IpvsSettings;
  readonly userspace: UserspaceSettings;
}

const defaultUdpIdleTimeoutMs = 250;

/** Reads the groups of all modes: a wrong field is an error in whatever mode the proxy is. */
export function modeSettings(fields: ConfigFields, mode: ProxyMode): ModeSettings {
  const nftables = fields.group('nftables', readSyncGroup);
  const { localhostNodePorts, ...iptables } = fields.group('iptables', (group) => ({
    ...readSyncGroup(group),
    localhostNodePorts: group.explicit('localhostNodePorts', readBoolean) ?? true,
  }));
  const { settings: ipvs, ...ipvsPeriods } = fields.group('ipvs', (group) => ({
    ...readPeriods(group),
    settings: readIpvs(group),
  }));
  return {
    sync: syncSettings(mode, { nftables, iptables, ipvs: ipvsPeriods }),
    iptables: { localhostNodePorts },
    ipvs,
    userspace: {
      ports: fields.optional('portRange', readPortRange),
      udpIdleTimeout: fields.optional('udpIdleTimeout', readDuration) ?? defaultUdpIdleTimeoutMs,
    },
  };
}

function readIpvs(fields: ConfigFields): IpvsSettings {
  return {
    scheduler: fields.optional('scheduler', readOneOf(ipvsSchedulers)) ?? 'rr',
    excludeCidrs: fields.optional('excludeCIDRs', readList(readParsed(parseCidr))) ?? [],
    strictArp: fields.optional('strictARP', readBoolean) ?? false,
    timeouts: {
      tcp: fields.optional('tcpTimeout', readDuration) ?? 0,
      tcpFin: fields.optional('tcpFinTimeout', readDuration) ?? 0,
      udp: fields.optional('udpTimeout', readDuration) ?? 0,
    },
  };
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
