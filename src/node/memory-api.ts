import { isPlainObject } from '../api/decode.ts';
import type { KubernetesObject, Stored } from '../api/object.ts';
import { objectKey } from '../api/object.ts';
import { type ResourceKey, type ResourceTypes, resources } from '../api/resources.ts';
import {
  type ApiClient,
  ApiError,
  type ListOptions,
  type ObjectPlace,
  type Patch,
  type WatchEvent,
} from '../client/types.ts';

interface Entry {
  readonly resource: ResourceKey;
  readonly event: WatchEvent<Stored<KubernetesObject>>;
}

/**
 * An API server in memory, for tests of what speaks to one: objects, watches and graceful deletion of Pods; no
 * validation and no defaults. Patches are merged as objects, and conditions by type.
 */
export class MemoryApi implements ApiClient {
  readonly config = { server: 'memory:' };
  readonly #objects = new Map<string, Stored<KubernetesObject>>();
  readonly #log: Entry[] = [];
  #wake: (() => void)[] = [];
  #revision = 0;

  async get<K extends ResourceKey>(resource: K, place: ObjectPlace): Promise<Stored<ResourceTypes[K]>> {
    return this.#find(resource, place) as Stored<ResourceTypes[K]>;
  }

  async list<K extends ResourceKey>(resource: K, options: ListOptions = {}) {
    const items = [...this.#objects].flatMap(([key, object]) =>
      key.startsWith(`${resource} `) && selects(options, object) ? [structuredClone(object)] : [],
    );
    return { items: items as Stored<ResourceTypes[K]>[], resourceVersion: `${this.#revision}` };
  }

  async create<K extends ResourceKey>(resource: K, object: ResourceTypes[K]): Promise<Stored<ResourceTypes[K]>> {
    const given: KubernetesObject = structuredClone(object);
    const revision = this.#revision + 1;
    const name = given.metadata?.name ?? `${given.metadata?.generateName ?? ''}${revision}`;
    const metadata = {
      creationTimestamp: new Date().toISOString(),
      ...given.metadata,
      name,
      uid: given.metadata?.uid ?? `uid-${revision}`,
      resourceVersion: `${revision}`,
    };
    const { kind, version } = resources[resource];
    const stored: Stored<KubernetesObject> = { apiVersion: version, kind, ...given, metadata };
    if (this.#objects.has(`${resource} ${objectKey(stored)}`)) throw failure(409, 'AlreadyExists', name);
    this.#put(resource, 'ADDED', stored);
    return structuredClone(stored) as Stored<ResourceTypes[K]>;
  }

  async update<K extends ResourceKey>(resource: K, object: ResourceTypes[K]): Promise<Stored<ResourceTypes[K]>> {
    const { name = '', namespace } = (object as KubernetesObject).metadata ?? {};
    return this.patch(resource, { name, namespace }, { type: 'merge', body: object });
  }

  async patch<K extends ResourceKey>(resource: K, place: ObjectPlace, patch: Patch): Promise<Stored<ResourceTypes[K]>> {
    const before = this.#find(resource, place);
    if (patch.type === 'json') throw failure(415, 'UnsupportedMediaType', place.name);
    const uid = (patch.body as KubernetesObject).metadata?.uid;
    if (uid !== undefined && uid !== before.metadata.uid) throw failure(409, 'Conflict', place.name);
    const merged = merge(before, patch.body) as Stored<KubernetesObject>;
    this.#put(resource, 'MODIFIED', merged);
    return structuredClone(merged) as Stored<ResourceTypes[K]>;
  }

  async delete<K extends ResourceKey>(
    resource: K,
    place: ObjectPlace,
    options: { readonly gracePeriodSeconds?: number; readonly uid?: string } = {},
  ): Promise<void> {
    const object = this.#find(resource, place);
    if (options.uid !== undefined && options.uid !== object.metadata.uid) throw failure(409, 'Conflict', place.name);
    const grace = options.gracePeriodSeconds ?? 30;
    if (resource !== 'pods' || grace === 0) {
      this.#put(resource, 'DELETED', object);
      return;
    }
    const deletionTimestamp = new Date(Date.now() + grace * 1000).toISOString();
    const metadata = { ...object.metadata, deletionTimestamp, deletionGracePeriodSeconds: grace };
    this.#put(resource, 'MODIFIED', { ...object, metadata });
  }

  async *watch<K extends ResourceKey>(
    resource: K,
    options: ListOptions & { readonly resourceVersion: string; readonly signal: AbortSignal },
  ): AsyncGenerator<WatchEvent<Stored<ResourceTypes[K]>>> {
    let at = this.#log.findIndex(
      (e) => Number(e.event.object.metadata.resourceVersion) > Number(options.resourceVersion),
    );
    if (at === -1) at = this.#log.length;
    options.signal.addEventListener('abort', () => this.#wakeAll(), { once: true });
    while (!options.signal.aborted) {
      for (; at < this.#log.length; at++) {
        const entry = this.#log[at];
        if (entry?.resource !== resource || !selects(options, entry.event.object)) continue;
        yield structuredClone(entry.event) as WatchEvent<Stored<ResourceTypes[K]>>;
      }
      if (!options.signal.aborted) await new Promise<void>((resolve) => this.#wake.push(resolve));
    }
  }

  async raw(): Promise<never> {
    throw failure(404, 'NotFound', 'raw');
  }

  close(): void {}

  #find(resource: ResourceKey, { namespace, name }: ObjectPlace): Stored<KubernetesObject> {
    const key = namespace === undefined ? name : `${namespace}/${name}`;
    const object = this.#objects.get(`${resource} ${key}`);
    if (object === undefined) throw failure(404, 'NotFound', name);
    return structuredClone(object);
  }

  #put(resource: ResourceKey, type: 'ADDED' | 'MODIFIED' | 'DELETED', object: Stored<KubernetesObject>): void {
    const resourceVersion = `${++this.#revision}`;
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion } };
    const key = `${resource} ${objectKey(stored)}`;
    if (type === 'DELETED') this.#objects.delete(key);
    else this.#objects.set(key, stored);
    this.#log.push({ resource, event: { type, object: stored } });
    this.#wakeAll();
  }

  #wakeAll(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

function selects({ namespace, fieldSelector }: ListOptions, object: KubernetesObject): boolean {
  if (namespace !== undefined && object.metadata?.namespace !== namespace) return false;
  const [, nodeName] = /^spec\.nodeName=(.*)$/.exec(fieldSelector ?? '') ?? [];
  return nodeName === undefined || (object as { spec?: { nodeName?: string } }).spec?.nodeName === nodeName;
}

function merge(into: unknown, patch: unknown): unknown {
  if (!isPlainObject(patch)) return patch;
  const result: Record<string, unknown> = isPlainObject(into) ? { ...into } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) delete result[key];
    else if (key === 'conditions') result[key] = mergeConditions(result[key], value);
    else result[key] = merge(result[key], value);
  }
  return result;
}

function mergeConditions(into: unknown, patch: unknown): unknown[] {
  const byType = new Map<unknown, unknown>();
  for (const condition of [into, patch].flat()) {
    if (isPlainObject(condition)) byType.set(condition.type, merge(byType.get(condition.type), condition));
  }
  return [...byType.values()];
}

function failure(code: number, reason: string, name: string): ApiError {
  return new ApiError({ code, reason, message: `${name}: ${reason}` });
}
