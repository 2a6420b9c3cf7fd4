import { chmodSync, existsSync, lstatSync, realpathSync, statSync, writeFileSync } from 'node:fs';
import { dirname, isAbsolute, join, normalize, sep } from 'node:path';
import type {
  ConfigMap,
  Container,
  DownwardAPIVolumeFile,
  KeyToPath,
  Pod,
  Secret,
  ServiceAccountTokenProjection,
  Volume,
} from '../api/generated/types.ts';
import { makeFolder } from '../component/make-folder.ts';
import { replaceFile } from '../component/replace-file.ts';
import { SignalboxError } from '../errors/error.ts';
import type { ContainerMount } from '../kernel/container-mounts.ts';
import { decode, findConfigMap, findSecret, missingKey, type PodConfiguration } from './container-environment.ts';
import { fieldValue, type PodFacts, resourceValue } from './downward-api.ts';
import { expandReferences } from './expansion.ts';

/** A file of a volume. */
export interface VolumeFile {
  /** Relative to the volume. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly mode: number;
}

/** What the files of volumes are made from. */
export interface VolumeSource extends PodFacts {
  readonly configuration: PodConfiguration;
  /** Of the Pod's service account, by `tokenKey`. */
  readonly tokens: ReadonlyMap<string, string>;
}

const supportedKinds = ['emptyDir', 'hostPath', 'configMap', 'secret', 'downwardAPI', 'projected'] as const;

/** What kind a volume is that the node cannot provide; `undefined` for one it can. */
export function unsupportedVolumeKind(volume: Volume): string | undefined {
  const { name: _, projected, ...kinds } = volume;
  if (projected !== undefined) {
    const part = (projected.sources ?? []).flatMap(Object.keys).find((kind) => !projectedKinds.has(kind));
    return part === undefined ? undefined : `projected ${part}`;
  }
  return Object.keys(kinds).find((kind) => !supportedKinds.some((supported) => supported === kind));
}

const projectedKinds: ReadonlySet<string> = new Set(['configMap', 'secret', 'downwardAPI', 'serviceAccountToken']);

/**
 * The files of a volume that is made from objects; `undefined` for volumes of other kinds.
 * @throws SignalboxError `POD_CONFIG_MISSING`, `POD_INVALID`
 */
export function volumeFiles(volume: Volume, source: VolumeSource): VolumeFile[] | undefined {
  const { configMap, secret, downwardAPI, projected } = volume;
  if (configMap !== undefined) return configMapFiles(configMap, source, configMap.defaultMode);
  if (secret !== undefined) return secretFiles({ ...secret, name: secret.secretName }, source, secret.defaultMode);
  if (downwardAPI !== undefined) return downwardFiles(downwardAPI.items, source, downwardAPI.defaultMode);
  return projected?.sources?.flatMap((part) => [
    ...(part.configMap === undefined ? [] : configMapFiles(part.configMap, source, projected.defaultMode)),
    ...(part.secret === undefined ? [] : secretFiles(part.secret, source, projected.defaultMode)),
    ...(part.serviceAccountToken === undefined
      ? []
      : [tokenFile(part.serviceAccountToken, source, projected.defaultMode)]),
    ...(part.downwardAPI === undefined ? [] : downwardFiles(part.downwardAPI.items, source, projected.defaultMode)),
  ]);
}

const defaultFileMode = 0o644;

interface ObjectReference {
  readonly name?: string | undefined;
  readonly optional?: boolean;
  readonly items?: readonly KeyToPath[];
}

function configMapFiles(ref: ObjectReference, { configuration, pod }: VolumeSource, mode?: number): VolumeFile[] {
  const { name = '' } = ref;
  const found: ConfigMap | undefined = findConfigMap(configuration, pod, { ...ref, name });
  const data = new Map<string, Uint8Array>();
  for (const [key, value] of Object.entries(found?.data ?? {})) data.set(key, Buffer.from(value));
  for (const [key, value] of Object.entries(found?.binaryData ?? {})) data.set(key, decode(value));
  return keyFiles(data, mode, (key) => missingKey('ConfigMap', pod, { ...ref, name, key }), ref.items);
}

function secretFiles(ref: ObjectReference, { configuration, pod }: VolumeSource, mode?: number): VolumeFile[] {
  const { name = '' } = ref;
  const found: Secret | undefined = findSecret(configuration, pod, { ...ref, name });
  const data = new Map(Object.entries(found?.data ?? {}).map(([key, value]) => [key, decode(value)]));
  return keyFiles(data, mode, (key) => missingKey('Secret', pod, { ...ref, name, key }), ref.items);
}

/** All keys, or those that `items` names, at the paths it gives. */
function keyFiles(
  data: ReadonlyMap<string, Uint8Array>,
  mode: number | undefined,
  missing: (key: string) => undefined,
  items: readonly KeyToPath[] = [...data.keys()].map((key) => ({ key, path: key })),
): VolumeFile[] {
  return items.flatMap((item) => {
    const content = data.get(item.key) ?? missing(item.key);
    return content === undefined ? [] : [{ path: item.path, content, mode: item.mode ?? mode ?? defaultFileMode }];
  });
}

/** Projections that ask for the same get the same token. */
export function tokenKey({ audience = '', expirationSeconds = 3600 }: ServiceAccountTokenProjection): string {
  return `${expirationSeconds} ${audience}`;
}

function tokenFile(
  projection: ServiceAccountTokenProjection,
  { tokens }: VolumeSource,
  mode: number = defaultFileMode,
): VolumeFile {
  return { path: projection.path, content: Buffer.from(tokens.get(tokenKey(projection)) ?? ''), mode };
}

function downwardFiles(
  items: readonly DownwardAPIVolumeFile[] = [],
  facts: PodFacts,
  mode: number = defaultFileMode,
): VolumeFile[] {
  return items.map(({ path, fieldRef, resourceFieldRef, mode: own }) => {
    const text = fieldRef === undefined ? '' : fieldValue(fieldRef.fieldPath, facts);
    const value = resourceFieldRef === undefined ? text : resourceValue(resourceFieldRef, facts, undefined);
    return { path, content: Buffer.from(value), mode: own ?? mode };
  });
}

/**
 * Makes a Pod's volumes under `folder`, one folder each, files of earlier contents replaced. Those of the host are only
 * looked at.
 * @throws SignalboxError `MOUNT_FAILED`, `POD_CONFIG_MISSING`, `POD_INVALID`
 */
export function prepareVolumes(folder: string, source: VolumeSource): void {
  for (const volume of source.pod.spec?.volumes ?? []) {
    const { hostPath, name } = volume;
    if (hostPath !== undefined) {
      checkHostPath(hostPath.path, hostPath.type ?? '');
      continue;
    }
    const at = join(folder, name);
    const files = volumeFiles(volume, source);
    makeFolder(at);
    // Containers of one Pod share it, each as the user it likes.
    if (volume.emptyDir !== undefined) chmodSync(at, 0o777);
    for (const { path, content, mode } of files ?? []) writeVolumeFile(at, path, { content, mode });
  }
}

/**
 * Writes one file of a volume; readers see the old one or the new one.
 * @throws SignalboxError `MOUNT_FAILED` for a path that leaves the volume
 */
export function writeVolumeFile(at: string, path: string, { content, mode }: Omit<VolumeFile, 'path'>): void {
  replaceFile(join(at, inside(path)), content, mode);
}

const hostPathKinds: Readonly<Record<string, (path: string) => boolean>> = {
  Directory: (path) => statSync(path).isDirectory(),
  File: (path) => statSync(path).isFile(),
  Socket: (path) => statSync(path).isSocket(),
  CharDevice: (path) => statSync(path).isCharacterDevice(),
  BlockDevice: (path) => statSync(path).isBlockDevice(),
};

function checkHostPath(path: string, type: string): void {
  if (type === 'DirectoryOrCreate') makeFolder(path, 0o755);
  else if (type === 'FileOrCreate') writeFileSync(path, '', { flag: 'a' });
  else if (statSync(path, { throwIfNoEntry: false }) === undefined)
    throw unmountable(`hostPath ${path}`, 'does not exist on the host');
  else if (hostPathKinds[type]?.(path) === false) throw unmountable(`hostPath ${path}`, `is not a ${type}`);
}

/**
 * What a container mounts of its Pod's volumes.
 * @param folder where `prepareVolumes` made them
 * @param variables of the container, for `subPathExpr`
 * @throws SignalboxError `MOUNT_FAILED` for a mount of no volume, or a `subPath` that leaves it
 */
export function volumeMounts(
  container: Container,
  {
    pod,
    folder,
    variables,
  }: { readonly pod: Pod; readonly folder: string; readonly variables: Readonly<Record<string, string>> },
): ContainerMount[] {
  return (container.volumeMounts ?? []).map((mount) => {
    const volume = pod.spec?.volumes?.find((v) => v.name === mount.name);
    if (volume === undefined) throw unmountable(`volumeMount ${mount.name}`, 'names no volume of the Pod');
    if (!isAbsolute(mount.mountPath)) throw unmountable(`mountPath ${mount.mountPath}`, 'is not absolute');
    const base = volume.hostPath?.path ?? join(folder, mount.name);
    const subPath = mount.subPathExpr === undefined ? mount.subPath : expandReferences(mount.subPathExpr, variables);
    const madeFromObjects = volume.emptyDir === undefined && volume.hostPath === undefined;
    return {
      source: subPath === undefined || subPath === '' ? base : subPathOf(base, subPath),
      target: normalize(mount.mountPath).replace(/(?<=.)\/$/, ''),
      readOnly: mount.readOnly === true || madeFromObjects,
    };
  });
}

function subPathOf(base: string, subPath: string): string {
  const path = join(base, inside(subPath));
  const isNew = !existsSync(path);
  // A link in the volume must not lead out of it, nor may a folder be made behind one that does.
  const there = isNew ? deepestThere(path) : path;
  const root = realpathSync(base);
  // A link that leads nowhere leads out.
  const real = existsSync(there) ? realpathSync(there) : '';
  if (real !== root && !real.startsWith(`${root}${sep}`))
    throw unmountable(`subPath ${subPath}`, 'leads out of the volume');
  if (isNew) {
    makeFolder(path);
    chmodSync(path, statSync(base).mode & 0o777);
  }
  return realpathSync(path);
}

/** The path, or the deepest folder above it, that there is; a link that leads nowhere is there, too. */
function deepestThere(path: string): string {
  return lstatSync(path, { throwIfNoEntry: false }) === undefined ? deepestThere(dirname(path)) : path;
}

function inside(path: string): string {
  if (!isAbsolute(path) && !path.split('/').includes('..')) return path;
  throw unmountable(`path ${path}`, 'leads out of the volume');
}

function unmountable(object: string, problem: string): SignalboxError {
  return new SignalboxError('MOUNT_FAILED', { object, problem, remedy: 'correct the volume or the mount in the Pod' });
}
