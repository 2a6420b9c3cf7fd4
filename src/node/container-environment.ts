import type { ConfigMap, Container, EnvVar, Pod, Secret } from '../api/generated/types.ts';
import { SignalboxError } from '../errors/error.ts';
import { fieldValue, type PodFacts, resourceValue } from './downward-api.ts';
import { expandReferences } from './expansion.ts';

/** ConfigMaps and Secrets of the Pod's namespace, by name. What is not there does not exist. */
export interface PodConfiguration {
  readonly configMaps: ReadonlyMap<string, ConfigMap>;
  readonly secrets: ReadonlyMap<string, Secret>;
}

/** What the variables of a container are made from. */
export interface EnvironmentSource extends PodFacts {
  readonly container: Container;
  readonly configuration: PodConfiguration;
  /** From `serviceEnvironment`. */
  readonly services: Readonly<Record<string, string>>;
  readonly hostname: string;
}

const defaultPath = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/**
 * The whole environment of a container: `PATH`, `HOME` and `HOSTNAME`, the Services', then `envFrom` and `env` in
 * their order, each overriding what came before. A value can refer to variables above it, and to the Services'.
 * @throws SignalboxError `POD_CONFIG_MISSING` for a ConfigMap, Secret or key that is needed and not there; `POD_INVALID`
 */
export function containerEnvironment(source: EnvironmentSource): Record<string, string> {
  const { container, services, hostname } = source;
  const base = { PATH: defaultPath, HOME: '/', HOSTNAME: hostname };
  const own: Record<string, string> = {};
  for (const { prefix = '', configMapRef, secretRef } of container.envFrom ?? []) {
    if (configMapRef !== undefined) {
      addAll(own, prefix, findConfigMap(source.configuration, source.pod, configMapRef)?.data);
    }
    if (secretRef !== undefined) {
      addAll(own, prefix, decodeAll(findSecret(source.configuration, source.pod, secretRef)?.data));
    }
  }
  for (const variable of container.env ?? []) {
    const value = variableValue(variable, source, { ...services, ...own });
    if (value !== undefined) own[variable.name] = value;
  }
  return { ...base, ...services, ...own };
}

function variableValue(
  { value = '', valueFrom }: EnvVar,
  source: EnvironmentSource,
  before: Readonly<Record<string, string>>,
): string | undefined {
  if (valueFrom === undefined) return expandReferences(value, before);
  const { fieldRef, resourceFieldRef, configMapKeyRef, secretKeyRef } = valueFrom;
  const { configuration, pod } = source;
  if (fieldRef !== undefined) return fieldValue(fieldRef.fieldPath, source);
  if (resourceFieldRef !== undefined) return resourceValue(resourceFieldRef, source, source.container);
  if (configMapKeyRef !== undefined) {
    const data = findConfigMap(configuration, pod, configMapKeyRef)?.data ?? {};
    return data[configMapKeyRef.key] ?? missingKey('ConfigMap', pod, configMapKeyRef);
  }
  if (secretKeyRef !== undefined) {
    const data = findSecret(configuration, pod, secretKeyRef)?.data ?? {};
    const encoded = data[secretKeyRef.key] ?? missingKey('Secret', pod, secretKeyRef);
    return encoded === undefined ? undefined : decode(encoded).toString();
  }
  throw new SignalboxError('POD_INVALID', {
    object: 'env.valueFrom',
    problem: 'has none of fieldRef, resourceFieldRef, configMapKeyRef and secretKeyRef',
    remedy: 'use one of these: others are not supported here',
  });
}

interface Reference {
  readonly name?: string;
  readonly optional?: boolean;
}

/**
 * The ConfigMap referred to, or `undefined` for an optional one that is not there.
 * @throws SignalboxError `POD_CONFIG_MISSING`
 */
export function findConfigMap(from: PodConfiguration, pod: Pod, ref: Reference): ConfigMap | undefined {
  return from.configMaps.get(ref.name ?? '') ?? missing('ConfigMap', pod, ref);
}

/** As `findConfigMap`. */
export function findSecret(from: PodConfiguration, pod: Pod, ref: Reference): Secret | undefined {
  return from.secrets.get(ref.name ?? '') ?? missing('Secret', pod, ref);
}

function missing(kind: string, pod: Pod, { name, optional }: Reference): undefined {
  if (optional === true) return undefined;
  throw configMissing(`${kind} ${pod.metadata?.namespace}/${name}`, 'does not exist');
}

/**
 * What a key that is not there comes to.
 * @throws SignalboxError `POD_CONFIG_MISSING` unless it is optional
 */
export function missingKey(kind: string, pod: Pod, ref: Reference & { readonly key: string }): undefined {
  if (ref.optional === true) return undefined;
  throw configMissing(`${kind} ${pod.metadata?.namespace}/${ref.name}`, `has no key ${JSON.stringify(ref.key)}`);
}

function configMissing(object: string, problem: string): SignalboxError {
  const remedy = 'create it, or mark the reference as optional; the container starts when it is there';
  return new SignalboxError('POD_CONFIG_MISSING', { object, problem, remedy });
}

function addAll(to: Record<string, string>, prefix: string, data: Readonly<Record<string, string>> = {}): void {
  for (const [key, value] of Object.entries(data)) to[prefix + key] = value;
}

function decodeAll(data: Readonly<Record<string, string>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, decode(value).toString()]));
}

/** The bytes of a value of `Secret.data` or `ConfigMap.binaryData`. */
export function decode(base64: string): Buffer {
  return Buffer.from(base64, 'base64');
}

/** Names of the ConfigMaps and Secrets that a Pod's containers and volumes refer to. */
export function configurationReferences(pod: Pod): { readonly configMaps: Set<string>; readonly secrets: Set<string> } {
  const configMaps = new Set<string>();
  const secrets = new Set<string>();
  const add = (names: Set<string>, name: string | undefined) => {
    if (name !== undefined && name !== '') names.add(name);
  };
  for (const { env = [], envFrom = [] } of [...(pod.spec?.initContainers ?? []), ...(pod.spec?.containers ?? [])]) {
    for (const { valueFrom } of env) {
      add(configMaps, valueFrom?.configMapKeyRef?.name);
      add(secrets, valueFrom?.secretKeyRef?.name);
    }
    for (const { configMapRef, secretRef } of envFrom) {
      add(configMaps, configMapRef?.name);
      add(secrets, secretRef?.name);
    }
  }
  for (const { configMap, secret, projected } of pod.spec?.volumes ?? []) {
    add(configMaps, configMap?.name);
    add(secrets, secret?.secretName);
    for (const part of projected?.sources ?? []) {
      add(configMaps, part.configMap?.name);
      add(secrets, part.secret?.name);
    }
  }
  return { configMaps, secrets };
}
