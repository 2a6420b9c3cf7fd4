import { SignalboxError } from '../errors/error.ts';
import { type Cidr, parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp, tryParseIp } from '../net/ip.ts';
import { parseDuration } from './duration.ts';

/** How the node's kernel is programmed. */
export type ProxyMode = 'nftables';

/** An address and port to listen on; port 0 takes a free one, which the log tells. */
export interface ListenAddress {
  readonly host: Ip;
  readonly port: number;
}

/** How the proxy tells Pods of the cluster from other sources (KEP-2450). */
export type LocalSources =
  | { readonly mode: 'ClusterCIDR'; readonly blocks: readonly Cidr[] }
  /** The Node object's `spec.podCIDRs`. */
  | { readonly mode: 'NodeCIDR' };

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
  /** Path; for whoever starts the proxy without saying how to reach the API. */
  readonly kubeconfig: string | undefined;
}

const apiVersion = 'kubeproxy.config.k8s.io/v1alpha1';

/** At most 100 transactions a second under load: well below what a person or a probe notices. */
const defaultMinSyncPeriodMs = 10;
const defaultSyncPeriodMs = 30_000;

type Fields = { readonly [name: string]: unknown };

/** Fields of KubeProxyConfiguration that this proxy does not act on yet, alone or as `group.field`. */
const notYet = new Set([
  'bindAddressHardFail',
  'clientConnection.acceptContentTypes',
  'clientConnection.burst',
  'clientConnection.contentType',
  'clientConnection.qps',
  'configSyncPeriod',
  'conntrack',
  'detectLocal',
  'enableProfiling',
  'featureGates',
  'iptables',
  'ipvs',
  'linux',
  'logging',
  'nftables.masqueradeBit',
  'oomScoreAdj',
  'portRange',
  'showHiddenMetricsForVersion',
  'udpIdleTimeout',
  'windowsRunAsService',
  'winkernel',
]);

/**
 * Reads the fields of a KubeProxyConfiguration (`kubeproxy.config.k8s.io/v1alpha1`), with Kubernetes' defaults for what
 * is left out. Fields this proxy does not act on yet may be there with their zero value, as generated files have
 * them; set to anything else they are refused, and so is a field that Kubernetes does not know.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseProxyConfig(object: unknown): ProxyConfig {
  const fields = new FieldReader(requireObject(object, 'configuration'), '');
  const mode = fields.read('mode', readMode) ?? 'nftables';
  const bindAddress = fields.read('bindAddress', readIp);
  const clusterCidr = fields.read('clusterCIDR', readCidrs) ?? [];
  const detectLocalMode = fields.read('detectLocalMode', readDetectLocalMode) ?? 'ClusterCIDR';
  const nftables = fields.group('nftables');
  const config: ProxyConfig = {
    mode,
    hostnameOverride: fields.read('hostnameOverride', readText),
    bindAddress: bindAddress === '0.0.0.0' || bindAddress === '::' ? undefined : bindAddress,
    nodePortAddresses: fields.read('nodePortAddresses', readNodePortAddresses) ?? 'primary',
    localSources: detectLocalMode === 'NodeCIDR' ? { mode: 'NodeCIDR' } : { mode: 'ClusterCIDR', blocks: clusterCidr },
    healthzBindAddress: listenAddress(fields, 'healthzBindAddress', { host: parseIp('0.0.0.0'), port: 10256 }),
    metricsBindAddress: listenAddress(fields, 'metricsBindAddress', { host: parseIp('127.0.0.1'), port: 10249 }),
    nftables: {
      syncPeriod: nftables.read('syncPeriod', readPeriod) ?? defaultSyncPeriodMs,
      minSyncPeriod: nftables.read('minSyncPeriod', readPeriod) ?? defaultMinSyncPeriodMs,
      masqueradeAll: nftables.read('masqueradeAll', readBoolean) ?? false,
    },
    kubeconfig: fields.group('clientConnection').read('kubeconfig', readText),
  };
  fields.read('apiVersion', readConstant(apiVersion));
  fields.read('kind', readConstant('KubeProxyConfiguration'));
  fields.requireNothingElse();
  return config;
}

/** Reads the fields of one object by name, and knows which were not asked for. */
class FieldReader {
  readonly #fields: Fields;
  readonly #path: string;
  readonly #known = new Set<string>();
  readonly #groups: FieldReader[] = [];

  constructor(fields: Fields, path: string) {
    this.#fields = fields;
    this.#path = path;
  }

  /** The field's value as `parse` reads it; `undefined` when it is absent or has its zero value. */
  read<T>(name: string, parse: (value: unknown, path: string) => T): T | undefined {
    this.#known.add(name);
    const value = this.#fields[name];
    return isZero(value) ? undefined : parse(value, this.#path + name);
  }

  group(name: string): FieldReader {
    const path = `${this.#path}${name}.`;
    const group = new FieldReader(this.read(name, requireObject) ?? {}, path);
    this.#groups.push(group);
    return group;
  }

  requireNothingElse(): void {
    for (const [name, value] of Object.entries(this.#fields)) {
      const path = this.#path + name;
      if (this.#known.has(name)) continue;
      if (!notYet.has(path)) {
        throw invalid(path, 'is no field of KubeProxyConfiguration', 'remove it, or correct its name');
      }
      if (!isZero(value)) throw invalid(path, 'has no effect in this proxy yet', 'remove it');
    }
    for (const group of this.#groups) group.requireNothingElse();
  }
}

/** Whether a value asks for nothing but the default, as generated configuration files are full of. */
function isZero(value: unknown): boolean {
  if (Array.isArray(value)) return value.length === 0;
  if (typeof value === 'object' && value !== null) return Object.values(value).every(isZero);
  if (typeof value === 'string') return value === '' || parseDuration(value) === 0;
  return value === undefined || value === null || value === 0 || value === false;
}

function listenAddress(fields: FieldReader, name: string, byDefault: ListenAddress): ListenAddress {
  return fields.read(name, (value, path) => readListenAddress(value, path, byDefault.port)) ?? byDefault;
}

function readMode(value: unknown, path: string): ProxyMode {
  if (value === 'nftables') return value;
  if (value === 'iptables' || value === 'ipvs') throw invalid(path, `${value} is not built yet`, 'set it to nftables');
  throw invalid(path, `${show(value)} is not a mode`, 'set it to nftables');
}

function readDetectLocalMode(value: unknown, path: string): LocalSources['mode'] {
  if (value === 'ClusterCIDR' || value === 'NodeCIDR') return value;
  if (value === 'BridgeInterface' || value === 'InterfaceNamePrefix') {
    throw invalid(path, `${value} is not built yet`, 'set it to ClusterCIDR or NodeCIDR');
  }
  throw invalid(path, `${show(value)} is not a way to detect local traffic`, 'set it to ClusterCIDR or NodeCIDR');
}

function readNodePortAddresses(value: unknown, path: string): 'primary' | readonly Cidr[] {
  if (!Array.isArray(value)) throw invalid(path, `${show(value)} is not a list`, 'write a list of blocks of addresses');
  if (value.length === 1 && value[0] === 'primary') return 'primary';
  return value.map((item, i) => readWith(parseCidr, item, `${path}[${i}]`));
}

function readListenAddress(value: unknown, path: string, defaultPort: number): ListenAddress {
  const text = readText(value, path);
  const alone = tryParseIp(text);
  if (alone !== undefined) return { host: alone, port: defaultPort };
  const [, bracketed, plain = '', port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = tryParseIp(bracketed ?? plain);
  if (host === undefined || Number(port) > 65535) {
    throw invalid(path, `${show(value)} is not an address with a port`, 'write it as 0.0.0.0:10256 or [::]:10256');
  }
  return { host, port: Number(port) };
}

function readCidrs(value: unknown, path: string): Cidr[] {
  const blocks = readText(value, path)
    .split(',')
    .map((text) => readWith(parseCidr, text.trim(), path));
  if (new Set(blocks.map(({ family }) => family)).size < blocks.length) {
    throw invalid(path, 'has two blocks of one family', 'write at most one IPv4 and one IPv6 block');
  }
  return blocks;
}

function readIp(value: unknown, path: string): Ip {
  return readWith(parseIp, value, path);
}

function readPeriod(value: unknown, path: string): number {
  const period = parseDuration(readText(value, path));
  if (period === undefined) throw invalid(path, `${show(value)} is not a duration`, 'write it as 30s, 1m30s or 500ms');
  return period;
}

function readBoolean(value: unknown, path: string): boolean {
  if (typeof value !== 'boolean') throw invalid(path, `${show(value)} is neither true nor false`, 'set it to one');
  return value;
}

function readText(value: unknown, path: string): string {
  if (typeof value !== 'string') throw invalid(path, `${show(value)} is not a text`, 'put it in quotes');
  return value;
}

function readConstant(expected: string): (value: unknown, path: string) => string {
  return (value, path) => {
    if (value !== expected) throw invalid(path, `${show(value)} is not understood`, `set it to ${expected}`);
    return expected;
  };
}

function requireObject(value: unknown, path: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(path, `${show(value)} is not an object`, 'write its fields as name: value');
}

function readWith<T>(parse: (text: string) => T, value: unknown, path: string): T {
  try {
    return parse(readText(value, path));
  } catch (error) {
    if (!(error instanceof SignalboxError) || error.code === 'INVALID_CONFIG') throw error;
    throw invalid(path, `${show(value)} ${error.problem}`, error.remedy);
  }
}

function show(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function invalid(path: string, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('INVALID_CONFIG', { object: path, problem, remedy });
}
