import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { SignalboxError } from '../errors/error.ts';
import { type Ip, isLoopback, parseIp, tryParseIp } from '../net/ip.ts';
import { isPort } from '../net/port.ts';
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

type Fields = { readonly [name: string]: unknown };

const knownFields = new Set([
  'listen',
  'clusterDomain',
  'ttl',
  'pods',
  'nameServer',
  'upstreams',
  'resolvConf',
  'maxUdpSize',
  'health',
  'ready',
  'metrics',
  'kubeconfig',
]);

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
  const fields = readObject(object, 'the DNS configuration');
  const unknown = Object.keys(fields).find((name) => !knownFields.has(name));
  if (unknown !== undefined) throw invalid(unknown, 'is no setting of the DNS server', 'leave it out');
  if (fields.upstreams !== undefined && fields.resolvConf !== undefined)
    throw invalid('upstreams', 'stands beside resolvConf', 'give one of them');
  return {
    listen: readListen(fields.listen ?? [{ address: '0.0.0.0', port: 53 }]),
    clusterDomain: readDomain(fields.clusterDomain ?? 'cluster.local'),
    ttl: readInteger('ttl', fields.ttl ?? defaultTtl, [0, 3600]),
    pods: readPods(fields.pods ?? 'insecure'),
    nameServer: readServiceKey(fields.nameServer ?? 'kube-system/kube-dns'),
    upstreams:
      fields.upstreams === undefined
        ? readText('resolvConf', fields.resolvConf ?? '/etc/resolv.conf')
        : readList('upstreams', fields.upstreams).map((text) => parseServerAddress(readText('upstreams', text))),
    maxUdpSize: readInteger('maxUdpSize', fields.maxUdpSize ?? defaultUdpSize, [512, 4096]),
    health: readHttpAddress('health', fields.health ?? { port: 8080 }),
    ready: readHttpAddress('ready', fields.ready ?? { port: 8181 }),
    metrics: readHttpAddress('metrics', fields.metrics ?? { port: 9153 }),
    kubeconfig: fields.kubeconfig === undefined ? undefined : readText('kubeconfig', fields.kubeconfig),
  };
}

/** More than any resolver library reads. */
const maxUpstreams = 15;

/** The servers a resolv.conf names, in its order; lines that are not understood are passed over. */
export function parseResolvConf(text: string): ServerAddress[] {
  return text
    .split('\n')
    .map((line) => tryParseIp(/^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? ''))
    .filter((ip) => ip !== undefined)
    .slice(0, maxUpstreams)
    .map((ip) => ({ ip, port: 53 }));
}

/**
 * The servers to ask for other names, without this one itself: a resolv.conf copied from a host may well name a
 * loopback address at which, in here, nobody else listens.
 * @throws SignalboxError `INVALID_CONFIG` when the file that names them cannot be read
 */
export async function readUpstreams(config: DnsConfig): Promise<ServerAddress[]> {
  const { upstreams, listen } = config;
  const named = typeof upstreams === 'string' ? parseResolvConf(await readResolvConf(upstreams)) : upstreams;
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

async function readResolvConf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: path,
      problem: 'cannot be read',
      remedy: 'name the servers to ask in upstreams, or another file in resolvConf',
      cause,
    });
  }
}

function readObject(value: unknown, name: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(name, `${show(value)} is not an object`, 'write its fields as name: value');
}

function readList(name: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value;
  throw invalid(name, `${show(value)} is not a list`, 'write a list, even of one');
}

function readText(name: string, value: unknown): string {
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(name, `${show(value)} is not a text`, 'put it in quotes');
}

function readInteger(name: string, value: unknown, [least, most]: readonly [number, number]): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most) return value;
  throw invalid(name, `${show(value)} is not a whole number from ${least} to ${most}`, 'choose one');
}

function readPods(value: unknown): 'disabled' | 'insecure' {
  if (value === 'disabled' || value === 'insecure') return value;
  throw invalid('pods', `${show(value)} is neither disabled nor insecure`, 'choose one');
}

function readDomain(value: unknown): Name {
  const domain = parseName(readText('clusterDomain', value));
  // Names below are made from namespaces and Services of up to 63 octets each, with two labels before them.
  if (domain !== undefined && domain.length > 1 && domain.length <= 100) return domain;
  throw invalid('clusterDomain', `${show(value)} is not a domain`, 'write it as cluster.local');
}

function readServiceKey(value: unknown): string {
  const text = readText('nameServer', value);
  if (/^[^/]+\/[^/]+$/.test(text)) return text;
  throw invalid('nameServer', `${show(value)} is not a Service`, 'write it as kube-system/kube-dns');
}

function readListen(value: unknown): ServerAddress[] {
  const addresses = readList('listen', value).map((item) => {
    const { ip, port } = readHttpAddress('listen', item);
    return { ip: ip ?? parseIp('0.0.0.0'), port };
  });
  if (addresses.length > 0) return addresses;
  throw invalid('listen', 'is empty', 'name at least one address and port');
}

function readHttpAddress(name: string, value: unknown): HttpAddress {
  const { address, port, ...rest } = readObject(value, name);
  const ip = address === undefined ? undefined : tryParseIp(readText(name, address));
  const extra = Object.keys(rest)[0];
  if (extra !== undefined) throw invalid(`${name}.${extra}`, 'is no setting of an address', 'leave it out');
  if (address !== undefined && ip === undefined)
    throw invalid(`${name}.address`, `${show(address)} is not an IP address`, 'write it as 0.0.0.0');
  // 0 takes a free port, as everywhere.
  if (port === 0 || isPort(port)) return { ip, port };
  throw invalid(`${name}.port`, `${show(port)} is not a port`, 'write a whole number from 0 to 65535');
}

function show(value: unknown): string {
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

function invalid(object: string, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('INVALID_CONFIG', { object, problem, remedy });
}
