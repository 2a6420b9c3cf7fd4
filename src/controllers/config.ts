import { SignalboxError } from '../errors/error.ts';
import { bits, parseCidr } from '../net/cidr.ts';
import type { PodNetwork } from './nodes/pod-cidr.ts';

/** The controllers by the names that Kubernetes has for them. */
export const controllerNames = [
  'namespace',
  'serviceaccount',
  'deployment',
  'replicaset',
  'scheduler',
  'nodeipam',
  'nodelifecycle',
  'podgc',
  'endpointslice',
  'endpoints',
  'endpointslicemirroring',
  'garbagecollector',
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
  /** PEM file with the authority that Pods are told to trust; that of the kubeconfig when undefined. */
  readonly rootCaFile: string | undefined;
}

type Fields = { readonly [name: string]: unknown };
const knownFields = ['kubeconfig', 'controllers', 'clusterCidr', 'nodeCidrMaskSizes', 'nodeGraceSeconds', 'rootCaFile'];

/**
 * Reads the fields of a configuration file:
 *
 * - `kubeconfig`: path
 * - `controllers`: list of names; default all. In a cluster with controllers of its own only some are wanted.
 * - `clusterCidr`: the Pod network, two with a comma between them for two families; default `10.244.0.0/16`
 * - `nodeCidrMaskSizes`: `{IPv4, IPv6}`, prefix lengths of a node's part; default 24 and 64
 * - `nodeGraceSeconds`: 1 to 3600; default 40
 * - `rootCaFile`: path
 *
 * @throws SignalboxError `INVALID_CONFIG`, `INVALID_CIDR`
 */
export function parseControllersConfig(object: unknown): ControllersConfig {
  const fields = readFields(object, 'the controllers’ configuration');
  const unknown = Object.keys(fields).find((name) => !knownFields.includes(name));
  if (unknown !== undefined) throw invalid(unknown, 'is no setting of the controllers', 'leave it out');
  return {
    kubeconfig: readText(fields, 'kubeconfig'),
    controllers: readControllers(fields.controllers),
    podNetworks: readPodNetworks(fields),
    nodeGraceMs: readInteger(fields, { name: 'nodeGraceSeconds', fallback: 40, min: 1, max: 3600 }) * 1000,
    rootCaFile: readText(fields, 'rootCaFile'),
  };
}

function readControllers(value: unknown): readonly ControllerName[] {
  if (value === undefined) return controllerNames;
  const isName = (name: unknown): name is ControllerName => controllerNames.some((known) => known === name);
  if (Array.isArray(value) && value.length > 0 && value.every(isName)) return [...new Set(value)];
  throw invalid('controllers', 'is not a list of controllers', `choose from ${controllerNames.join(', ')}`);
}

function readPodNetworks(fields: Fields): PodNetwork[] {
  const sizes = readFields(fields.nodeCidrMaskSizes ?? {}, 'nodeCidrMaskSizes');
  const networks = (readText(fields, 'clusterCidr') ?? '10.244.0.0/16').split(',').map((text): PodNetwork => {
    const cidr = parseCidr(text.trim());
    const fallback = Math.max(cidr.prefix, cidr.family === 'IPv4' ? 24 : 64);
    const max = bits(cidr.family);
    return { cidr, nodePrefix: readInteger(sizes, { name: cidr.family, fallback, min: cidr.prefix, max }) };
  });
  if (new Set(networks.map(({ cidr }) => cidr.family)).size === networks.length) return networks;
  throw invalid('clusterCidr', 'has two blocks of one family', 'give one for IPv4, one for IPv6, or one of each');
}

function readFields(value: unknown, what: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw invalid(what, 'is not a set of fields', 'write `name: value` lines');
}

function readText(fields: Fields, name: string): string | undefined {
  const value = fields[name];
  if (value === undefined || (typeof value === 'string' && value !== '')) return value;
  throw invalid(name, `is ${JSON.stringify(value)}`, 'give a text');
}

function readInteger(
  fields: Fields,
  { name, fallback, min, max }: { name: string; fallback: number; min: number; max: number },
): number {
  const value = fields[name] ?? fallback;
  if (typeof value === 'number' && Number.isInteger(value) && value >= min && value <= max) return value;
  throw invalid(name, `is ${JSON.stringify(value)}`, `give an integer from ${min} to ${max}`);
}

function invalid(object: string, problem: string, remedy: string): SignalboxError {
  return new SignalboxError('INVALID_CONFIG', { object, problem, remedy });
}
