import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import {
  type ConfigFields,
  type ConfigValue,
  readConfig,
  readFields,
  readInteger,
  readList,
  readOneOf,
  readParsed,
  readSome,
  readText,
} from '../component/config-fields.ts';
import { SignalboxError } from '../errors/error.ts';
import { type Ip, isLoopback, parseIp, tryParseIp } from '../net/ip.ts';
import { parseResolvConf, resolverAddresses } from '../net/resolv-conf.ts';
import { parseServerAddress, type ServerAddress } from './forward/address.ts';
import { type Name, parseName } from './wire/name.ts';

/** Where an HTTP page is served; on all addresses when none is named. */
export interface HttpAddress {
  readonly ip: Ip | undefined;
  readonly port: number;
}

/** What the DNS server is to do; `parseDnsConfig` says where each setting comes from. */
export interface DnsConfig {
  readonly listen: readonly ServerAddress[];
  readonly clusterDomain: Name;
  /** Life of the cluster's records, in seconds. */
  readonly ttl: number;
  readonly pods: 'disabled' | 'insecure';
  /** `namespace/name` of the Service by which clients reach this server. */
  readonly nameServer: string;
  /** Who is asked for other names: servers, or the path of a resolv.conf that names them. */
  readonly upstreams: readonly ServerAddress[] | string;
  /** The largest UDP answer, in octets. */
  readonly maxUdpSize: number;
  readonly health: HttpAddress;
  readonly ready: HttpAddress;
  readonly metrics: HttpAddress;
  /** Path; where it is absent, the environment decides. */
  readonly kubeconfig: string | undefined;
}

const anyIpv4 = parseIp('0.0.0.0');
const defaultDomain = parseName('cluster.local') as Name;
/** 5 s is what CoreDNS gives too: as long as clients may keep what has gone. */
const defaultTtl = 5;
/** What passes any link unfragmented: the figure DNS servers have agreed on in 2020. */
const defaultUdpSize = 1232;

/**
 * Reads the fields of a configuration file:
 *
 * - `listen`: list of `{address, port}`, UDP and TCP; default all IPv4 addresses, port 53
 * - `clusterDomain`: default `cluster.local`
 * - `ttl`: seconds, 0 to 3600; default 5
 * - `pods`: `insecure` (default) or `disabled`
 * - `nameServer`: `namespace/name` of the Service this server is reached by; default `kube-system/kube-dns`
 * - `upstreams`: list of `ip` or `ip:port`; or `resolvConf`: path of a file that names them, default
 *   `/etc/resolv.conf`. An empty list: other names are refused.
 * - `maxUdpSize`: octets, 512 to 4096; default 1232
 * - `health`, `ready`, `metrics`: `{address, port}`; default all addresses, ports 8080, 8181, 9153
 * - `kubeconfig`: path
 *
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseDnsConfig(object: unknown): DnsConfig {
  return readConfig(object, { name: 'the DNS configuration' }, (fields) => ({
    listen: fields.optional('listen', readSome(readListenAddress)) ?? [{ ip: anyIpv4, port: 53 }],
    clusterDomain: fields.optional('clusterDomain', readDomain) ?? defaultDomain,
    ttl: fields.optional('ttl', readInteger(0, 3600)) ?? defaultTtl,
    pods: fields.optional('pods', readOneOf(['disabled', 'insecure'])) ?? 'insecure',
    nameServer: fields.optional('nameServer', readServiceKey) ?? 'kube-system/kube-dns',
    upstreams: upstreamsOf(fields),
    maxUdpSize: fields.optional('maxUdpSize', readInteger(512, 4096)) ?? defaultUdpSize,
    health: fields.optional('health', readHttpAddress) ?? { ip: undefined, port: 8080 },
    ready: fields.optional('ready', readHttpAddress) ?? { ip: undefined, port: 8181 },
    metrics: fields.optional('metrics', readHttpAddress) ?? { ip: undefined, port: 9153 },
    kubeconfig: fields.optional('kubeconfig', readText),
  }));
}

/** More than any resolver library reads. */
const maxUpstreams = 15;

/**
 * The servers to ask for other names, without this one itself: a resolv.conf copied from a host may well name a
 * loopback address at which, in here, nobody else listens.
 * @throws SignalboxError `INVALID_CONFIG` when the file that names them cannot be read
 */
export async function readUpstreams(config: DnsConfig): Promise<ServerAddress[]> {
  const { upstreams, listen } = config;
  const named = typeof upstreams === 'string' ? await readResolvConf(upstreams) : upstreams;
  const own = Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.map(({ address }) => tryParseIp(address)),
  );
  const isOwn = (ip: Ip) => isLoopback(ip) || own.includes(ip);
  const isSelf = (upstream: ServerAddress) =>
    listen.some(({ ip, port }) => port === upstream.port && (ip === upstream.ip || (isAny(ip) && isOwn(upstream.ip))));
  return named.filter((upstream) => !isSelf(upstream));
}

function isAny(ip: Ip): boolean {
  return ip === '0.0.0.0' || ip === '::';
}

/** The servers that a resolv.conf names, in its order. */
async function readResolvConf(path: string): Promise<ServerAddress[]> {
  try {
    const addresses = resolverAddresses(parseResolvConf(await readFile(path, 'utf8')));
    return addresses.slice(0, maxUpstreams).map((ip) => ({ ip, port: 53 }));
  } catch (cause) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: path,
      problem: 'cannot be read',
      remedy: 'name the servers to ask in upstreams, or another file in resolvConf',
      cause,
    });
  }
}

function upstreamsOf(fields: ConfigFields): DnsConfig['upstreams'] {
  const upstreams = fields.optional('upstreams', readList(readParsed(parseServerAddress)));
  const resolvConf = fields.optional('resolvConf', (at) => {
    if (upstreams === undefined) return readText(at);
    throw at.error('stands beside upstreams', 'give one of them');
  });
  return upstreams ?? resolvConf ?? '/etc/resolv.conf';
}

function readDomain(at: ConfigValue): Name {
  const domain = parseName(readText(at));
  // Names below are made from namespaces and Services of up to 63 octets each, with two labels before them.
  if (domain !== undefined && domain.length > 1 && domain.length <= 100) return domain;
  throw at.valueError('is not a domain', 'write it as cluster.local');
}

function readServiceKey(at: ConfigValue): string {
  const text = readText(at);
  if (/^[^/]+\/[^/]+$/.test(text)) return text;
  throw at.valueError('is not a Service', 'write it as kube-system/kube-dns');
}

function readListenAddress(at: ConfigValue): ServerAddress {
  const { ip = anyIpv4, port } = readHttpAddress(at);
  return { ip, port };
}

const readHttpAddress = readFields(
  (fields): HttpAddress => ({
    ip: fields.optional('address', readParsed(parseIp)),
    // 0 takes a free port, as everywhere.
    port: fields.required('port', readInteger(0, 65535)),
  }),
);
