import { parseLabelSelector, SelectorError } from '../../api/label-selector.ts';
import {
  type ConfigFields,
  type ConfigReader,
  type ConfigValue,
  readBoolean,
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
import { logFormats, unknownReplacer } from '../log/format.ts';
import { rcode } from '../wire/constants.ts';
import { type Name, rootName } from '../wire/name.ts';
import { cacheDefaults, forwardDefaults, kubernetesDefaults } from './defaults.ts';
import { parseForwardTarget } from './forward-target.ts';
import { parseTransferPeer, peersOfRule } from './transfer-peer.ts';
import type {
  CacheBounds,
  CacheSettings,
  ErrorsSettings,
  ForwardSettings,
  HostsSettings,
  KubernetesSettings,
  ListenAddress,
  LogRule,
  ServerBlock,
  TransferRule,
} from './types.ts';
import { readClusterZones, readServiceKey, readZone, readZones } from './zone-fields.ts';

const maxTtl = 0x7fff_ffff;

/** One of `servers`: the fields of `ServerBlock`, times as durations. Zones are `[.]` and nothing is done unless said. */
export const readServerBlock: ConfigReader<ServerBlock> = readFields((fields) => {
  const zones = fields.optional('zones', readZones) ?? [rootName];
  return {
    zones,
    listen: fields.optional('listen', readSome(readListenAddress)) ?? [{ ip: undefined, port: 53, transport: 'dns' }],
    tls: fields.optional('tls', readServerTls),
    errors: fields.optional('errors', readErrors),
    log: fields.optional('log', readList(readLogRule)) ?? [],
    loadbalance: fields.optional('loadbalance', readBoolean) ?? true,
    loop: fields.optional('loop', readBoolean) ?? true,
    hosts: fields.optional('hosts', readHosts(zones)),
    cache: fields.optional('cache', readCache(zones)),
    kubernetes: fields.optional('kubernetes', readKubernetes),
    transfer: fields.optional('transfer', readList(readTransferRule(zones))) ?? [],
    forward: fields.optional('forward', readList(readForward)) ?? [],
  };
});

const readListenAddress = readFields(
  (fields): ListenAddress => ({
    ip: fields.optional('address', readParsed(parseIp)),
    // 0 takes a free port, as everywhere.
    port: fields.required('port', readInteger(0, 65_535)),
    transport: fields.optional('transport', readOneOf(['dns', 'tls'])) ?? 'dns',
  }),
);

const readServerTls = readFields((fields) => ({
  certFile: fields.required('certFile', readText),
  keyFile: fields.required('keyFile', readText),
  clientCaFile: fields.optional('clientCaFile', readText),
}));

const readErrors = readFields(
  (fields): ErrorsSettings => ({
    consolidate: fields.optional('consolidate', readList(readConsolidation)) ?? [],
  }),
);

const readConsolidation = readFields((fields) => ({
  intervalMs: fields.required('interval', readDuration),
  pattern: fields.required('pattern', readPattern),
  level: fields.optional('level', readOneOf(['error', 'warn', 'info', 'debug'])) ?? 'error',
  showFirst: fields.optional('showFirst', readBoolean) ?? false,
}));

function readPattern(at: ConfigValue): RegExp {
  try {
    return new RegExp(readText(at));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw at.valueError('is not a regular expression', 'correct it', cause);
  }
}

const readLogRule = readFields(
  (fields): LogRule => ({
    zones: fields.optional('zones', readZones) ?? [rootName],
    format: fields.optional('format', readLogFormat) ?? logFormats.common,
    classes: fields.optional('classes', readList(readOneOf(['success', 'denial', 'error']))) ?? [],
  }),
);

function readLogFormat(at: ConfigValue): string {
  const { common, combined } = logFormats;
  const format = readText(at).replaceAll('{common}', common).replaceAll('{combined}', combined);
  const unknown = unknownReplacer(format);
  if (unknown === undefined) return format;
  throw at.error(`cannot have ${unknown} written`, 'remove it');
}

function readHosts(zones: readonly Name[]): ConfigReader<HostsSettings> {
  return readFields((fields) => ({
    file: fields.optional('file', readText),
    inline: fields.optional('inline', readList(readText)) ?? [],
    zones: fields.optional('zones', readZones) ?? zones,
    ttl: fields.optional('ttl', readInteger(0, maxTtl)) ?? 3600,
    reverse: fields.optional('reverse', readBoolean) ?? true,
    reloadMs: fields.optional('reload', readDuration) ?? 5_000,
    fallthrough: fields.optional('fallthrough', readZones) ?? [],
  }));
}

function readCache(zones: readonly Name[]): ConfigReader<CacheSettings> {
  return readFields((fields) => ({
    zones: fields.optional('zones', readZones) ?? zones,
    success: fields.group('success', readBounds(cacheDefaults.success)),
    denial: fields.group('denial', readBounds(cacheDefaults.denial)),
    servfailMs: fields.optional('servfail', readDuration) ?? cacheDefaults.servfailMs,
    prefetch: fields.optional('prefetch', readPrefetch),
    serveStale: fields.optional('serveStale', readServeStale),
    disableSuccess: fields.optional('disableSuccess', readZones) ?? [],
    disableDenial: fields.optional('disableDenial', readZones) ?? [],
    keepTtl: fields.optional('keepTtl', readBoolean) ?? false,
  }));
}

function readBounds(usual: CacheBounds): (fields: ConfigFields) => CacheBounds {
  return (fields) => {
    const capacity = fields.optional('capacity', readInteger(0, 10_000_000)) ?? usual.capacity;
    const most = fields.optional('maxTtl', readInteger(0, maxTtl)) ?? usual.maxTtl;
    const least = fields.optional('minTtl', readInteger(0, maxTtl)) ?? usual.minTtl;
    return { capacity, maxTtl: most, minTtl: Math.min(least, most) };
  };
}

const readPrefetch = readFields((fields) => ({
  amount: fields.required('amount', readInteger(1, 1e9)),
  durationMs: fields.optional('duration', readDuration) ?? 60_000,
  percentage: fields.optional('percentage', readInteger(10, 90)) ?? 10,
}));

const readServeStale = readFields((fields) => ({
  durationMs: fields.optional('duration', readDuration) ?? 3_600_000,
  refresh: fields.optional('refresh', readOneOf(['verify', 'immediate'])) ?? 'immediate',
  verifyTimeoutMs: fields.optional('verifyTimeout', readDuration) ?? 0,
}));

const readKubernetes = readFields((fields): KubernetesSettings => {
  const usual = kubernetesDefaults;
  const zones = fields.required('zones', readClusterZones);
  const namespaces = fields.optional('namespaces', readList(readText)) ?? [];
  return {
    zones,
    ttl: fields.optional('ttl', readInteger(0, 3600)) ?? usual.ttl,
    pods: fields.optional('pods', readOneOf(['disabled', 'insecure', 'verified'])) ?? usual.pods,
    endpointPodNames: fields.optional('endpointPodNames', readBoolean) ?? false,
    namespaces,
    namespaceLabels: fields.optional('namespaceLabels', (at) => {
      if (namespaces.length === 0) return readSelector(at);
      throw at.error('stands beside namespaces', 'give one of them');
    }),
    labels: fields.optional('labels', readSelector),
    noEndpoints: fields.optional('noEndpoints', readBoolean) ?? false,
    ignoreEmptyService: fields.optional('ignoreEmptyService', readBoolean) ?? false,
    fallthrough: fields.optional('fallthrough', readZones) ?? [],
    nameServer: fields.optional('nameServer', readServiceKey) ?? usual.nameServer,
  };
});

function readSelector(at: ConfigValue): string {
  const text = readText(at);
  try {
    parseLabelSelector(text);
    return text;
  } catch (cause) {
    if (!(cause instanceof SelectorError)) throw cause;
    throw at.valueError('is not a label selector', 'write it as app=web,tier in (front,back)', cause);
  }
}

function readTransferRule(zones: readonly Name[]): ConfigReader<TransferRule> {
  return readFields((fields) => {
    const peers = fields.required('to', (at) => (at.value === '*' ? '*' : readSome(readParsed(parseTransferPeer))(at)));
    return {
      zones: fields.optional('zones', readZones) ?? zones,
      ...(peers === '*' ? { to: '*', notify: [] } : peersOfRule(peers)),
    };
  });
}

const readForward = readFields((fields): ForwardSettings => {
  const usual = forwardDefaults;
  return {
    from: fields.optional('from', readOneZone) ?? rootName,
    to: fields.required('to', readSome(readParsed(parseForwardTarget))),
    except: fields.optional('except', readZones) ?? [],
    tls: fields.group('tls', (tls) => ({
      certFile: tls.optional('certFile', readText),
      keyFile: tls.optional('keyFile', readText),
      caFile: tls.optional('caFile', readText),
      serverName: tls.optional('serverName', readText),
    })),
    policy: fields.optional('policy', readOneOf(['random', 'round_robin', 'sequential'])) ?? usual.policy,
    maxFails: fields.optional('maxFails', readInteger(0, 1e9)) ?? usual.maxFails,
    ...fields.group('healthCheck', (check) => ({
      healthCheckMs: check.optional('interval', readDuration) ?? usual.healthCheckMs,
      healthCheckRecursion: check.optional('recursion', readBoolean) ?? usual.healthCheckRecursion,
      healthCheckDomain: check.optional('domain', readOneZone) ?? rootName,
    })),
    expireMs: fields.optional('expire', readDuration) ?? usual.expireMs,
    maxConcurrent: fields.optional('maxConcurrent', readInteger(0, 1e9)) ?? usual.maxConcurrent,
    forceTcp: fields.optional('forceTcp', readBoolean) ?? false,
    preferUdp: fields.optional('preferUdp', readBoolean) ?? false,
    failover: fields.optional('failover', readList(readRcode)) ?? [],
    failFast: fields.optional('failFast', readBoolean) ?? false,
    next: fields.optional('next', readList(readRcode)) ?? [],
    nextOnNoData: fields.optional('nextOnNoData', readBoolean) ?? false,
  };
});

function readRcode(at: ConfigValue): number {
  return rcode[readOneOf(Object.keys(rcode) as (keyof typeof rcode)[])(at)];
}

/** A zone that is one, also when it is written as a block of addresses. */
function readOneZone(at: ConfigValue): Name {
  const [zone, ...others] = readZone(at);
  if (zone !== undefined && others.length === 0) return zone;
  throw at.valueError('is several zones', 'end the block where a label ends, as 10.0.0.0/24');
}
