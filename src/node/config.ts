import { isAbsolute } from 'node:path';
import { SignalboxError } from '../errors/error.ts';
import { type Cidr, parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp } from '../net/ip.ts';

/** What a node agent is told about its node and cluster. All paths are absolute. */
export interface NodeConfig {
  readonly nodeName: string;
  /** The node's addresses; the first is its main one. */
  readonly nodeIps: readonly Ip[];
  /** Where the node's Pods get their addresses from; one block a family. */
  readonly podCidrs: readonly Cidr[];
  /** Addresses of the cluster's DNS Service. */
  readonly clusterDns: readonly Ip[];
  readonly clusterDomain: string;
  /** Outlives the agent: address assignments, volumes, logs. */
  readonly stateDir: string;
  /** Does not outlive the machine: pinned network namespaces. Best short. */
  readonly runDir: string;
  /** Name of the bridge the Pods are ports of. */
  readonly bridge: string;
  /** Labels of the Node object, beside those every node has. */
  readonly labels: Readonly<Record<string, string>>;
  /** Folder of the programs behind the built-in images: `node-hello.js`, `agnhost.js`. */
  readonly imageDir: string;
  /** The host's resolv.conf, for Pods that are to use the host's resolvers. */
  readonly resolvConf: string;
}

/**
 * Reads a node agent's configuration from parsed JSON or YAML: the fields of `NodeConfig`, addresses and blocks as
 * text. `clusterDns` and `labels` may be left out, as may `clusterDomain` (`cluster.local`), `bridge` (`cni0`) and
 * `resolvConf` (`/etc/resolv.conf`).
 * @throws SignalboxError `INVALID_CONFIG` naming the field; `INVALID_ADDRESS`, `INVALID_CIDR`
 */
export function parseNodeConfig(value: unknown): NodeConfig {
  if (typeof value !== 'object' || value === null) throw invalid('the node configuration', 'is not an object');
  const fields: Readonly<Record<string, unknown>> = { ...value };
  const unknown = Object.keys(fields).find((key) => !known.has(key));
  if (unknown !== undefined)
    throw invalid(unknown, `is not a field of a node configuration, which has ${[...known].join(', ')}`);
  return {
    nodeName: text(fields, 'nodeName'),
    nodeIps: someTexts(fields, 'nodeIps').map(parseIp),
    podCidrs: someTexts(fields, 'podCidrs').map(parseCidr),
    clusterDns: texts(fields, 'clusterDns').map(parseIp),
    clusterDomain: text(fields, 'clusterDomain', 'cluster.local'),
    stateDir: path(fields, 'stateDir'),
    runDir: path(fields, 'runDir'),
    bridge: text(fields, 'bridge', 'cni0'),
    labels: labels(fields),
    imageDir: path(fields, 'imageDir'),
    resolvConf: path(fields, 'resolvConf', '/etc/resolv.conf'),
  };
}

const known: ReadonlySet<string> = new Set([
  'nodeName',
  'nodeIps',
  'podCidrs',
  'clusterDns',
  'clusterDomain',
  'stateDir',
  'runDir',
  'bridge',
  'labels',
  'imageDir',
  'resolvConf',
] satisfies (keyof NodeConfig)[]);

type Fields = Readonly<Record<string, unknown>>;

function text(fields: Fields, name: string, fallback?: string): string {
  const value = fields[name] ?? fallback;
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(name, 'is not a text');
}

function path(fields: Fields, name: string, fallback?: string): string {
  const value = text(fields, name, fallback);
  if (isAbsolute(value)) return value;
  throw invalid(name, 'is not an absolute path');
}

function texts(fields: Fields, name: string): string[] {
  const value = fields[name] ?? [];
  if (Array.isArray(value) && value.every((v): v is string => typeof v === 'string')) return value;
  throw invalid(name, 'is not a list of texts');
}

function someTexts(fields: Fields, name: string): string[] {
  const value = texts(fields, name);
  if (value.length > 0) return value;
  throw invalid(name, 'is missing or empty');
}

function labels(fields: Fields): Record<string, string> {
  const value = fields.labels ?? {};
  if (typeof value === 'object' && value !== null) {
    const entries: [string, unknown][] = Object.entries(value);
    if (entries.every((e): e is [string, string] => typeof e[1] === 'string')) return Object.fromEntries(entries);
  }
  throw invalid('labels', 'is not a map from text to text');
}

function invalid(object: string, problem: string): SignalboxError {
  return new SignalboxError('INVALID_CONFIG', {
    object,
    problem,
    remedy: 'correct the configuration file of the node agent',
  });
}
