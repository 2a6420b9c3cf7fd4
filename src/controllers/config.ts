import { type LabelMatcher, parseLabelSelector, SelectorError } from '../api/label-selector.ts';
import { readBindAddress } from '../component/bind-address.ts';
import {
  type ConfigFields,
  type ConfigValue,
  readBoolean,
  readConfig,
  readFields,
  readInteger,
  readList,
  readOneOf,
  readParsed,
  readSome,
  readText,
} from '../component/config-fields.ts';
import type { PageAddress } from '../component/pages.ts';
import { bits, type Cidr, parseCidr } from '../net/cidr.ts';
import type { IpFamily } from '../net/ip.ts';
import type { LoadBalancerSettings } from './loadbalancer/controller.ts';
import { type AddressPool, type AddressRange, overlapping, parseRange, unreachableIn } from './loadbalancer/pools.ts';
import type { PodNetwork } from './nodes/pod-cidr.ts';

/** The controllers by the names that Kubernetes has for them. */
export const controllerNames = [
  'namespace',
  'serviceaccount',
  'deployment',
  'replicaset',
  'statefulset',
  'daemonset',
  'scheduler',
  'nodeipam',
  'nodelifecycle',
  'podgc',
  'endpointslice',
  'endpoints',
  'endpointslicemirroring',
  'garbagecollector',
  'loadbalancer',
] as const;
export type ControllerName = (typeof controllerNames)[number];

/** What the controllers are to do; `parseControllersConfig` says where each setting comes from. */
export interface ControllersConfig {
  /** Path; the environment decides when it is undefined. */
  readonly kubeconfig: string | undefined;
  readonly controllers: readonly ControllerName[];
  /** The Pod networks that nodes get their parts of, one of each family. */
  readonly podNetworks: readonly PodNetwork[];
  /** After this long without a sign of its agent a node is given up; so are the Pods of a node that is not there. Milliseconds. */
  readonly nodeGraceMs: number;
  /** Whether it waits until it holds the Lease `kube-system/signalbox-controllers`, so that one of several works. */
  readonly leaderElection: boolean;
  /** Where probes may ask; nowhere when undefined. */
  readonly healthzBindAddress: PageAddress | undefined;
  /** PEM file with the authority that Pods are told to trust; that of the kubeconfig when undefined. */
  readonly rootCaFile: string | undefined;
  readonly loadBalancer: LoadBalancerSettings;
}

/**
 * Reads the fields of a configuration file:
 *
 * - `kubeconfig`: path
 * - `controllers`: list of names; default all. In a cluster with controllers of its own only some are wanted.
 * - `clusterCidr`: the Pod network, two with a comma between them for two families; default `10.244.0.0/16`
 * - `nodeCidrMaskSizes`: `{IPv4, IPv6}`, prefix lengths of a node's part; default 24 and 64
 * - `nodeGraceSeconds`: 1 to 3600; default 40
 * - `leaderElection`: whether several may run, of which one works; default true
 * - `healthzBindAddress`: where `/healthz` and `/readyz` are served, `192.0.2.1:10257` or `:10257` for all addresses; default
 *   nowhere
 * - `rootCaFile`: path
 * - `loadBalancer`: where addresses of Services of type LoadBalancer come from; without pools there are none:
 *   - `pools`: list of `{name, addresses, namespaces, namespaceSelector, autoAssign}`; `addresses` are blocks and
 *     `FIRST-LAST`; Services of `namespaces` and of those with the labels of `namespaceSelector` (`team=a,env in (b,c)`)
 *     may have them, without both all; `autoAssign` says whether they are given unasked (default true)
 *   - `className`: the `spec.loadBalancerClass` it serves; default `signalbox.dev/load-balancer`
 *   - `isDefault`: whether it serves Services without a class; default true
 *
 * @throws SignalboxError `INVALID_CONFIG`, `INVALID_CIDR`
 */
export function parseControllersConfig(object: unknown): ControllersConfig {
  return readConfig(object, { name: 'the controllers configuration' }, (fields) => {
    const clusterCidrs = fields.optional('clusterCidr', readCidrs) ?? [parseCidr('10.244.0.0/16')];
    return {
      kubeconfig: fields.optional('kubeconfig', readText),
      controllers: [
        ...new Set(fields.optional('controllers', readSome(readOneOf(controllerNames))) ?? controllerNames),
      ],
      podNetworks: fields.group('nodeCidrMaskSizes', (sizes) => podNetworks(clusterCidrs, sizes)),
      nodeGraceMs: (fields.optional('nodeGraceSeconds', readInteger(1, 3600)) ?? 40) * 1000,
      leaderElection: fields.optional('leaderElection', readBoolean) ?? true,
      healthzBindAddress: fields.optional('healthzBindAddress', readBindAddress),
      rootCaFile: fields.optional('rootCaFile', readText),
      loadBalancer: fields.group('loadBalancer', readLoadBalancer),
    };
  });
}

function readLoadBalancer(fields: ConfigFields): LoadBalancerSettings {
  return {
    pools: fields.optional('pools', readPools) ?? [],
    className: fields.optional('className', readText) ?? 'signalbox.dev/load-balancer',
    isDefault: fields.optional('isDefault', readBoolean) ?? true,
  };
}

function readPools(at: ConfigValue): AddressPool[] {
  const pools = readList(readFields(readPool))(at);
  const names = pools.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw at.error(`has two pools ${twice}`, 'give each a name of its own');
  const both = overlapping(pools);
  if (both !== undefined)
    throw at.error(`has an address twice, in pool ${both[0]} and in pool ${both[1]}`, 'give every address to one pool');
  return pools;
}

function readPool(fields: ConfigFields): AddressPool {
  const namespaces = fields.optional('namespaces', readSome(readText));
  const namespaceSelector = fields.optional('namespaceSelector', readSelector);
  return {
    name: fields.required('name', readText),
    ranges: fields.required('addresses', readSome(readRange)),
    autoAssign: fields.optional('autoAssign', readBoolean) ?? true,
    ...(namespaces === undefined ? {} : { namespaces }),
    ...(namespaceSelector === undefined ? {} : { namespaceSelector }),
  };
}

function readSelector(at: ConfigValue): LabelMatcher {
  const text = readText(at);
  try {
    return parseLabelSelector(text);
  } catch (cause) {
    if (!(cause instanceof SelectorError)) throw cause;
    throw at.valueError('is not a label selector', 'write it as team=a,env in (prod,test)', cause);
  }
}

function readRange(at: ConfigValue): AddressRange {
  const range = readParsed(parseRange)(at);
  if (range === undefined)
    throw at.valueError(
      'is no range of addresses',
      'write the lower address, a dash and the higher one of the same family',
    );
  const block = unreachableIn(range);
  if (block === undefined) return range;
  throw at.valueError(`is of ${block}, where nobody is reached`, 'give addresses of the network that the nodes are on');
}

function readCidrs(at: ConfigValue): Cidr[] {
  const cidrs = readText(at)
    .split(',')
    .map((text) => parseCidr(text.trim()));
  if (new Set(cidrs.map(({ family }) => family)).size === cidrs.length) return cidrs;
  throw at.error('has two blocks of one family', 'give one for IPv4, one for IPv6, or one of each');
}

function podNetworks(cidrs: readonly Cidr[], sizes: ConfigFields): PodNetwork[] {
  const nodePrefix = (family: IpFamily, byDefault: number) => {
    const least = cidrs.find((cidr) => cidr.family === family)?.prefix ?? 0;
    return sizes.optional(family, readInteger(least, bits(family))) ?? Math.max(least, byDefault);
  };
  const nodePrefixes = { IPv4: nodePrefix('IPv4', 24), IPv6: nodePrefix('IPv6', 64) };
  return cidrs.map((cidr) => ({ cidr, nodePrefix: nodePrefixes[cidr.family] }));
}
