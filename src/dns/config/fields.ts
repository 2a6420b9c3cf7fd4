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
} from '../../component/config-fields.ts';
import { parseIp } from '../../net/ip.ts';
import { parseServerAddress } from '../forward/address.ts';
import { type Name, parseName, rootName } from '../wire/name.ts';
import { cacheDefaults, defaultUdpSize, forwardDefaults, kubernetesDefaults, reverseZones } from './defaults.ts';
import type { DnsConfig, ForwardTarget, HttpAddress, KubernetesSettings, ListenAddress, ServerBlock } from './types.ts';

const anyIpv4 = parseIp('0.0.0.0');
const defaultDomain = parseName('cluster.local') as Name;
/** Half a minute spares the upstreams nearly all there is to spare. */
const keptShortly = { capacity: 9984, maxTtl: 30, minTtl: 0 };

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
    servers: [onlyBlock(fields)],
    maxUdpSize: fields.optional('maxUdpSize', readInteger(512, 4096)) ?? defaultUdpSize,
    health: { ...(fields.optional('health', readHttpAddress) ?? { ip: undefined, port: 8080 }), lameduckMs: 0 },
    ready: fields.optional('ready', readHttpAddress) ?? { ip: undefined, port: 8181 },
    metrics: [fields.optional('metrics', readHttpAddress) ?? { ip: undefined, port: 9153 }],
    reload: undefined,
    workers: 1,
    nodeLocal: undefined,
    kubeconfig: fields.optional('kubeconfig', readText),
  }));
}

/** The one block of the short form: all names, of the cluster or of others. */
function onlyBlock(fields: ConfigFields): ServerBlock {
  const to = targetsOf(fields);
  return {
    zones: [rootName],
    listen: fields.optional('listen', readSome(readListenAddress)) ?? [{ ip: anyIpv4, port: 53, transport: 'dns' }],
    tls: undefined,
    errors: { consolidate: [] },
    log: [],
    loadbalance: true,
    loop: true,
    hosts: undefined,
    cache: { ...cacheDefaults, zones: [rootName], success: keptShortly, denial: keptShortly },
    kubernetes: kubernetesOf(fields),
    transfer: [],
    forward: to.length === 0 ? [] : [{ ...forwardDefaults, from: rootName, to, policy: 'sequential' }],
  };
}

function kubernetesOf(fields: ConfigFields): KubernetesSettings {
  return {
    ...kubernetesDefaults,
    zones: [fields.optional('clusterDomain', readDomain) ?? defaultDomain, ...reverseZones],
    ttl: fields.optional('ttl', readInteger(0, 3600)) ?? kubernetesDefaults.ttl,
    pods: fields.optional('pods', readOneOf(['disabled', 'insecure'])) ?? 'insecure',
    // Addresses outside the cluster have names too.
    fallthrough: reverseZones,
    nameServer: fields.optional('nameServer', readServiceKey) ?? kubernetesDefaults.nameServer,
  };
}

function targetsOf(fields: ConfigFields): ForwardTarget[] {
  const upstreams = fields.optional('upstreams', readList(readParsed(parseServerAddress)));
  const path = fields.optional('resolvConf', (at) => {
    if (upstreams === undefined) return readText(at);
    throw at.error('stands beside upstreams', 'give one of them');
  });
  return upstreams === undefined
    ? [{ kind: 'resolvConf', path: path ?? '/etc/resolv.conf' }]
    : upstreams.map((address) => ({ kind: 'server', ...address, transport: 'dns' }));
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

function readListenAddress(at: ConfigValue): ListenAddress {
  const { ip = anyIpv4, port } = readHttpAddress(at);
  return { ip, port, transport: 'dns' };
}

const readHttpAddress = readFields(
  (fields): HttpAddress => ({
    ip: fields.optional('address', readParsed(parseIp)),
    // 0 takes a free port, as everywhere.
    port: fields.required('port', readInteger(0, 65535)),
  }),
);
