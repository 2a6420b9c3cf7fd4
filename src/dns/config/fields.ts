import {
  type ConfigFields,
  type ConfigValue,
  readConfig,
  readDuration,
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
import { readServerBlock } from './block-fields.ts';
import {
  cacheDefaults,
  defaultUdpSize,
  forwardDefaults,
  kubernetesDefaults,
  maxWorkers,
  reverseZones,
} from './defaults.ts';
import { requireDistinctZones } from './distinct.ts';
import type {
  DnsConfig,
  ForwardTarget,
  HttpAddress,
  KubernetesSettings,
  ListenAddress,
  ReloadSettings,
  ServerBlock,
} from './types.ts';
import { readDomain, readServiceKey } from './zone-fields.ts';

const anyIpv4 = parseIp('0.0.0.0');
const defaultDomain = parseName('cluster.local') as Name;
/** Half a minute spares the upstreams nearly all there is to spare. */
const keptShortly = { capacity: 9984, maxTtl: 30, minTtl: 0 };

/** Fields of the short form, which say what its one block does. */
const shortFields = ['listen', 'clusterDomain', 'ttl', 'pods', 'nameServer', 'upstreams', 'resolvConf'];

/**
 * Reads the fields of a configuration file. About the server as a whole:
 *
 * - `workers`: processes that answer, 1 to 64; default 1
 * - `maxUdpSize`: octets, 512 to 4096; default 1232
 * - `health`: `{address, port, lameduck}`; default all addresses, port 8080, 0s
 * - `ready`, `metrics`: `{address, port}`; default all addresses, ports 8181, 9153
 * - `reload`: `{interval, jitter}`; default: the file is read once
 * - `kubeconfig`: path; `context`: which of its contexts, default the current one
 *
 * What is done for which names is `servers`, a list of blocks (`readServerBlock`), or, for one cluster's names and all
 * others:
 *
 * - `listen`: list of `{address, port}`, UDP and TCP; default all IPv4 addresses, port 53
 * - `clusterDomain`: default `cluster.local`
 * - `ttl`: seconds, 0 to 3600; default 5
 * - `pods`: `insecure` (default), `verified` or `disabled`
 * - `nameServer`: `namespace/name` of the Service this server is reached by; default `kube-system/kube-dns`
 * - `upstreams`: list of `ip` or `ip:port`; or `resolvConf`: path of a file that names them, default
 *   `/etc/resolv.conf`. An empty list: other names are refused.
 *
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseDnsConfig(object: unknown): DnsConfig {
  return readConfig(object, { name: 'the DNS configuration' }, (fields) => {
    const blocks = fields.optional('servers', readSome(readServerBlock));
    const servers = blocks ?? [onlyBlock(fields)];
    if (blocks !== undefined) {
      for (const name of shortFields)
        fields.optional(name, (at) => {
          throw at.error('stands beside servers', 'say it in one of them');
        });
    }
    requireDistinctZones(servers);
    return {
      servers,
      workers: fields.optional('workers', readInteger(1, maxWorkers)) ?? 1,
      maxUdpSize: fields.optional('maxUdpSize', readInteger(512, 4096)) ?? defaultUdpSize,
      health: fields.optional('health', readHealth) ?? { ip: undefined, port: 8080, lameduckMs: 0 },
      ready: fields.optional('ready', readHttpAddress) ?? { ip: undefined, port: 8181 },
      metrics: [fields.optional('metrics', readHttpAddress) ?? { ip: undefined, port: 9153 }],
      reload: fields.optional('reload', readReload),
      kubeconfig: fields.optional('kubeconfig', readText),
      context: fields.optional('context', readText),
      apiServer: undefined,
    };
  });
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
    pods: fields.optional('pods', readOneOf(['disabled', 'insecure', 'verified'])) ?? 'insecure',
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

function readListenAddress(at: ConfigValue): ListenAddress {
  const { ip = anyIpv4, port } = readHttpAddress(at);
  return { ip, port, transport: 'dns' };
}

function httpAddress(fields: ConfigFields): HttpAddress {
  return {
    ip: fields.optional('address', readParsed(parseIp)),
    // 0 takes a free port, as everywhere.
    port: fields.required('port', readInteger(0, 65_535)),
  };
}

const readHttpAddress = readFields(httpAddress);

const readHealth = readFields((fields) => ({
  ...httpAddress(fields),
  lameduckMs: fields.optional('lameduck', readDuration) ?? 0,
}));

function readReload(at: ConfigValue): ReloadSettings {
  return readFields((fields) => {
    const intervalMs = fields.optional('interval', readDuration) ?? 30_000;
    if (intervalMs < 2_000) throw at.error('looks more often than every 2s', 'give a longer interval');
    const jitterMs = Math.min(fields.optional('jitter', readDuration) ?? 15_000, intervalMs / 2);
    return { intervalMs, jitterMs };
  })(at);
}
