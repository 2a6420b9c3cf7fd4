import { isAbsolute } from 'node:path';
import {
  type ConfigFields,
  type ConfigValue,
  readConfig,
  readFields,
  readList,
  readRecord,
  readSome,
  readText,
} from '../component/config-fields.ts';
import { type Cidr, parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { parseSpeakerConfig, type SpeakerConfig } from '../speaker/config.ts';

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
  /** Certificates of the API that the node serves to the API server; without them it serves none. */
  readonly api: NodeApiFiles | undefined;
  /** Of the speaker that starts here with the first address that is to be announced; none without it. */
  readonly speaker: SpeakerConfig | undefined;
  /** Configuration of the node's own DNS server, which is then served from here; none without it. */
  readonly nodeLocalDns: unknown;
  /** The host's resolv.conf, for Pods that are to use the host's resolvers. */
  readonly resolvConf: string;
}

/** Paths of PEM files. */
export interface NodeApiFiles {
  readonly certFile: string;
  readonly keyFile: string;
  /** Authority of the API server's client certificate. */
  readonly clientCaFile: string;
}

/**
 * Reads a node agent's configuration from parsed JSON or YAML: the fields of `NodeConfig`, addresses and blocks as
 * text. `speaker` is the configuration of a speaker
 * (`parseSpeakerConfig`), `nodeLocalDns` that of a DNS server (`parseDnsConfig`), which is read when that is started.
 * `api`, `speaker`, `nodeLocalDns`, `clusterDns` and `labels` may be left out, as may `clusterDomain` (`cluster.local`), `bridge` (`cni0`) and
 * `resolvConf` (`/etc/resolv.conf`).
 * @throws SignalboxError `INVALID_CONFIG` naming the field; `INVALID_ADDRESS`, `INVALID_CIDR`
 */
export function parseNodeConfig(value: unknown): NodeConfig {
  return readConfig(value, { name: 'the node configuration' }, (fields) => ({
    nodeName: fields.required('nodeName', readText),
    nodeIps: fields.required('nodeIps', readSome(readIp)),
    podCidrs: fields.required('podCidrs', readSome(readCidr)),
    clusterDns: fields.optional('clusterDns', readList(readIp)) ?? [],
    clusterDomain: fields.optional('clusterDomain', readText) ?? 'cluster.local',
    stateDir: fields.required('stateDir', readAbsolutePath),
    runDir: fields.required('runDir', readAbsolutePath),
    bridge: fields.optional('bridge', readText) ?? 'cni0',
    labels: fields.optional('labels', readRecord(readLabel)) ?? {},
    imageDir: fields.required('imageDir', readAbsolutePath),
    api: fields.optional('api', readFields(apiFiles)),
    speaker: fields.optional('speaker', (at) => parseSpeakerConfig(at.value)),
    nodeLocalDns: fields.optional('nodeLocalDns', ({ value }) => value),
    resolvConf: fields.optional('resolvConf', readAbsolutePath) ?? '/etc/resolv.conf',
  }));
}

function apiFiles(fields: ConfigFields): NodeApiFiles {
  return {
    certFile: fields.required('certFile', readAbsolutePath),
    keyFile: fields.required('keyFile', readAbsolutePath),
    clientCaFile: fields.required('clientCaFile', readAbsolutePath),
  };
}

function readIp(at: ConfigValue): Ip {
  return parseIp(readText(at));
}

function readCidr(at: ConfigValue): Cidr {
  return parseCidr(readText(at));
}

function readAbsolutePath(at: ConfigValue): string {
  const path = readText(at);
  if (isAbsolute(path)) return path;
  throw at.valueError('is not an absolute path', 'begin it with /');
}

/** Unlike other texts, it may be empty. */
function readLabel(at: ConfigValue): string {
  return at.value === '' ? '' : readText(at);
}
