import {
  type ConfigFields,
  type ConfigValue,
  readBoolean,
  readDuration,
  readInteger,
  readNumber,
  readOneOf,
  readRecord,
  readText,
} from '../../component/config-fields.ts';
import type { LogOptions } from '../../component/log.ts';

/** How the API is asked. */
export interface ClientSettings {
  /** Path; for whoever starts the proxy without saying how to reach the API. */
  readonly kubeconfig: string | undefined;
  /** Requests a second on average, and at once; no bound when `qps` is negative. */
  readonly qps: number;
  readonly burst: number;
}

/** What of a KubeProxyConfiguration is about the process itself. */
export interface ProcessSettings {
  readonly client: ClientSettings;
  readonly logging: LogOptions;
  /** How readily the kernel ends this process when memory is short: from -1000 (never) to 1000. */
  readonly oomScoreAdj: number;
}

const defaultOomScoreAdj = -999;

/** Reads those fields, and refuses what a process of Node cannot be asked for. */
export function processSettings(fields: ConfigFields): ProcessSettings {
  fields.explicit('featureGates', readFeatureGates);
  fields.refused({
    enableProfiling: 'asks for the profiles of a Go program (to profile this one start it with node --cpu-prof)',
    showHiddenMetricsForVersion: 'asks for metrics that are hidden, and none is',
  });
  return {
    client: fields.group('clientConnection', readClient),
    logging: fields.group('logging', readLogging),
    oomScoreAdj: fields.explicit('oomScoreAdj', readInteger(-1000, 1000)) ?? defaultOomScoreAdj,
  };
}

/** What kube-proxy may be told to speak; JSON is what every API server understands, and what is spoken here. */
const contentTypes = ['application/json', 'application/vnd.kubernetes.protobuf', 'application/cbor'] as const;
const defaultQps = 5;
const defaultBurst = 10;

function readClient(fields: ConfigFields): ClientSettings {
  fields.optional('contentType', readOneOf(contentTypes));
  fields.optional('acceptContentTypes', readMediaTypes);
  return {
    kubeconfig: fields.optional('kubeconfig', readText),
    qps: fields.optional('qps', readNumber(-1e6, 1e6)) ?? defaultQps,
    burst: fields.optional('burst', readInteger(0, 1e6)) ?? defaultBurst,
  };
}

function readMediaTypes(at: ConfigValue): void {
  const unknown = readText(at)
    .split(',')
    .find((type) => !contentTypes.some((known) => known === type.trim()));
  if (unknown !== undefined)
    throw at.valueError('is not among what there is', `choose from ${contentTypes.join(', ')}`);
}

/** From this verbosity on the log says what kube-proxy says there: each sync, each request. */
const debugVerbosity = 2;
const traceVerbosity = 6;

function readLogging(fields: ConfigFields): LogOptions {
  const format = fields.optional('format', readOneOf(['text', 'json'])) ?? 'json';
  // Lines are written when they are logged, which is sooner than any period asks for.
  fields.optional('flushFrequency', (at) => (typeof at.value === 'number' ? at.value : readDuration(at)));
  fields.refused({
    vmodule: 'names source files of kube-proxy (use verbosity)',
    options: 'asks for lines to be split or buffered, which are written to standard error as they come',
  });
  const verbosity = fields.optional('verbosity', readInteger(0, 100)) ?? 0;
  if (verbosity < debugVerbosity) return { format };
  return { format, level: verbosity < traceVerbosity ? 'debug' : 'trace' };
}

/**
 * Features that a configuration may name, with the one value that they have here: those that Kubernetes has made
 * permanent are on, and none of those on their way is there.
 */
const featureGates: { readonly [name: string]: boolean } = {
  AllAlpha: false,
  AllBeta: false,
  ContextualLogging: true,
  DualStack: true,
  EndpointSlice: true,
  EndpointSliceProxying: true,
  EndpointSliceTerminatingCondition: true,
  IPv6DualStack: true,
  KubeProxyDrainingTerminatingNodes: true,
  LegacyServiceAccountTokenNoAutoGeneration: true,
  LoadBalancerIPMode: true,
  LoggingAlphaOptions: false,
  LoggingBetaOptions: true,
  MinimizeIPTablesRestore: true,
  MixedProtocolLBService: true,
  NFTablesProxyMode: true,
  PreferSameTrafficDistribution: true,
  ProxyTerminatingEndpoints: true,
  SCTPSupport: true,
  ServiceInternalTrafficPolicy: true,
  ServiceTopology: false,
  ServiceTrafficDistribution: true,
  SupportIPVSProxyMode: true,
  TopologyAwareHints: true,
  WinDSR: false,
  WinOverlay: false,
};

function readFeatureGates(at: ConfigValue): void {
  const given = readRecord((each) => each)(at);
  for (const [name, value] of Object.entries(given)) {
    const here = Object.hasOwn(featureGates, name) ? featureGates[name] : undefined;
    if (here === undefined)
      throw value.error('is no feature of a proxy', `remove it; there are ${Object.keys(featureGates).join(', ')}`);
    if (readBoolean(value) !== here) throw value.valueError(`cannot be had: here it is always ${here}`, 'remove it');
  }
}
