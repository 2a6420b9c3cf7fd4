import { isDeepStrictEqual } from 'node:util';
import { FieldErrors } from '../api/field-error.ts';
import type { DeleteOptions, ManagedFieldsEntry, Service } from '../api/generated/types.ts';
import { apiVersionOf, type Resource, type ResourceKey, resources } from '../api/resources.ts';
import { validateMetadata, validateMetadataUpdate } from '../api/validation/metadata.ts';
import type { Operation, Store } from '../store/store.ts';
import type { Admit } from './access/admission.ts';
import { planDeletion } from './deletion.ts';
import { ipAddressOperations } from './ip-addresses.ts';
import { KeyedQueue } from './keyed-queue.ts';
import type { FieldWriter } from './managed-fields/managers.ts';
import { trackUpdate } from './managed-fields/track.ts';
import type { NamespaceLifecycle } from './namespace-lifecycle.ts';
import type { NodeClient } from './node-api/node-client.ts';
import { kubernetesTime, withKeptMetadata, withNewMetadata } from './object-meta.ts';
import type { ResourceCache } from './resource-cache.ts';
import type { Allocation, ServiceAllocator } from './service-allocator.ts';
import { portClaimOperations } from './shared-claims.ts';
import { alreadyExists, badRequest, conflict, invalid, modifiedMessage, notFound, type StatusError } from './status.ts';
import { type ApiObject, keyOf, StoredObject, storagePrefix, storageText } from './stored-object.ts';
import { strategies } from './strategies.ts';
import type { Strategy } from './strategy.ts';
import type { WatchCache } from './watch-cache.ts';

const maxTries = 16;

/** What all registries share. */
export interface RegistryEnvironment {
  readonly store: Store;
  readonly cache: WatchCache;
  readonly allocator: ServiceAllocator;
  readonly namespaces: NamespaceLifecycle;
  /** The way to the agents of nodes; absent when the server has no certificate for them. */
  readonly nodeClient?: NodeClient | undefined;
}

/** Whose object it is. */
export interface ObjectPlace {
  readonly namespace: string | undefined;
  readonly name: string;
}

export interface WriteOptions {
  readonly dryRun: boolean;
  /**
   * Whose the fields are that the write changes; absent: managed fields stay as they are. Who applies brings the
   * object with its managed fields.
   */
  readonly writer?: FieldWriter;
}

export interface UpdateOptions extends WriteOptions {
  /** The part of the object that the update is about: with `status`, spec and data stay, and the other way round. */
  readonly part: 'main' | 'status' | 'finalize' | 'all';
}

export interface Deletion {
  readonly object: StoredObject;
  /** Gone, or else on its way: someone has to finish first. */
  readonly gone: boolean;
}

/** What can be done with the objects of one resource. Every method rejects with `StatusError`. */
export class Registry {
  readonly resource: Resource;
  readonly strategy: Strategy<ApiObject>;
  readonly cache: ResourceCache;
  readonly #environment: RegistryEnvironment;
  readonly #hasStatus: boolean;
  readonly #key: ResourceKey;
  readonly #updates: KeyedQueue;
  readonly #admit: Admit | undefined;

  constructor(
    key: ResourceKey,
    environment: RegistryEnvironment,
    { updates = new KeyedQueue(), admit }: { readonly updates?: KeyedQueue; readonly admit?: Admit } = {},
  ) {
    this.#key = key;
    this.#updates = updates;
    this.#admit = admit;
    this.resource = resources[key];
    // The one place where a strategy's own type meets code that serves all alike.
    this.strategy = strategies[key] as unknown as Strategy<ApiObject>;
    this.cache = environment.cache.of(this.resource);
    this.#environment = environment;
    this.#hasStatus = this.resource.subresources.includes('status');
  }

  /** The same, for somebody whose writes are looked at first. */
  withAdmission(admit: Admit): Registry {
    return new Registry(this.#key, this.#environment, { updates: this.#updates, admit });
  }

  async get({ namespace, name }: ObjectPlace): Promise<StoredObject> {
    const { cache } = this.#environment;
    await cache.waitUntilFresh();
    const stored = this.cache.get(keyOf(this.resource, namespace, name));
    if (stored === undefined) throw notFound(this.resource, name);
    return stored;
  }

  /** `object` is taken over. */
  async create(object: ApiObject, namespace: string | undefined, options: WriteOptions): Promise<StoredObject> {
    if (object.metadata.resourceVersion) {
      throw badRequest('resourceVersion should not be set on objects to be created');
    }
    await this.#environment.namespaces.admitCreate(this.resource, namespace, object.metadata.name ?? '');
    const isGenerated = !object.metadata.name;
    const typed = { ...object, kind: this.resource.kind, apiVersion: apiVersionOf(this.resource) };
    // What is chosen for an object may be taken by the time it is to be stored.
    const mayLose = this.#environment.store.isShared || this.resource === resources.services;
    // An address chosen for a try that failed must not be what the next one asks for. Text is the cheapest copy.
    const asked = mayLose ? JSON.stringify(typed) : '';
    for (let attempt = 0; ; attempt++) {
      const draft = withNewMetadata(
        attempt > 0 && mayLose ? (JSON.parse(asked) as typeof typed) : typed,
        namespace,
        this.strategy.generationOf !== undefined,
      );
      this.strategy.defaults?.(draft);
      this.#own(draft, { live: undefined, sent: object.metadata.managedFields, writer: options.writer });
      this.strategy.prepareForCreate?.(draft);
      await this.#admit?.create(this.resource, draft);
      const created = await this.#store(draft, undefined, options);
      if (created !== undefined) return created;
      // Not the name was taken but something chosen for the object.
      const isFree =
        mayLose && this.cache.get(keyOf(this.resource, namespace, draft.metadata.name ?? '')) === undefined;
      if (!(isGenerated || isFree) || attempt >= maxTries)
        throw alreadyExists(this.resource, draft.metadata.name ?? '');
    }
  }

  /**
   * Changes an object; `change` makes the new version from the stored one and is called again when another writer was
   * faster. The stored one is not to be changed in place.
   */
  update(
    place: ObjectPlace,
    change: (current: StoredObject) => ApiObject,
    options: UpdateOptions,
  ): Promise<StoredObject> {
    // In turn, so that writers of this server do not make each other try again.
    const key = keyOf(this.resource, place.namespace, place.name);
    return this.#updates.run(key, () => this.#update(place, change, options));
  }

  async #update(
    place: ObjectPlace,
    change: (current: StoredObject) => ApiObject,
    options: UpdateOptions,
  ): Promise<StoredObject> {
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const current = await this.get(place);
      const sent = change(current);
      const next = this.#merge(sent, current.object, options.part);
      if (!next.metadata.resourceVersion && this.strategy.needsVersion === true && options.part === 'main')
        throw this.#withoutVersion(place.name);
      if (next.metadata.resourceVersion && next.metadata.resourceVersion !== String(current.revision)) {
        throw conflict(this.resource, place.name, modifiedMessage);
      }
      this.#admit?.change({ operation: 'update', resource: this.resource, object: next, old: current.object });
      this.strategy.defaults?.(next);
      this.#own(next, { live: current.object, sent: sent.metadata.managedFields, writer: options.writer });
      const updated = await this.#storeUpdate(next, current, options);
      if (updated !== undefined) return updated;
    }
    throw conflict(this.resource, place.name, modifiedMessage);
  }

  #withoutVersion(name: string): Error {
    const errors = new FieldErrors();
    errors.invalid('metadata.resourceVersion', 0, 'must be specified for an update');
    return invalid(this.resource, name, errors.list);
  }

  /** An update that may set what clients may not: a Pod's node along with its status. */
  bind(
    place: ObjectPlace,
    change: (current: StoredObject['object']) => ApiObject,
    dryRun: boolean,
  ): Promise<StoredObject> {
    return this.update(place, (current) => change(current.object), { dryRun, part: 'all' });
  }

  async delete(place: ObjectPlace, options: DeleteOptions): Promise<Deletion> {
    this.#environment.namespaces.admitDelete(this.resource, place.name);
    const dryRun = (options.dryRun ?? []).length > 0;
    for (let attempt = 0; attempt < maxTries; attempt++) {
      const current = await this.get(place);
      this.#admit?.change({
        operation: 'delete',
        resource: this.resource,
        object: current.object,
        old: current.object,
      });
      const plan = planDeletion(this, current, options);
      if (plan === 'nothing') return { object: current, gone: false };
      const object =
        plan === 'remove'
          ? await this.#remove(current, dryRun)
          : await this.#store(plan, current, { dryRun, isChecked: false });
      if (object !== undefined) return { object, gone: plan === 'remove' };
    }
    throw conflict(this.resource, place.name, modifiedMessage);
  }

  /** The stored object with the part that the update is about taken from the client's. */
  #merge(sent: ApiObject, old: ApiObject, part: UpdateOptions['part']): ApiObject {
    const { resourceVersion, uid } = sent.metadata;
    if (uid !== undefined && uid !== '' && uid !== old.metadata.uid) {
      const problem = `Precondition failed: UID in precondition: ${uid}, UID in object meta: ${old.metadata.uid}`;
      throw conflict(this.resource, old.metadata.name ?? '', problem);
    }
    if (part === 'main' || part === 'all') {
      const next = withKeptMetadata(sent, old);
      if (!this.#hasStatus || part === 'all') return next;
      const { status: _, ...rest } = next;
      return old.status === undefined ? rest : { ...rest, status: structuredClone(old.status) };
    }
    if (part === 'status') {
      const { metadata } = withKeptMetadata(sent, old, this.strategy.statusKeeps);
      return { ...structuredClone(old), metadata, status: sent.status };
    }
    const { resourceVersion: _, ...metadata } = structuredClone(old.metadata);
    const kept = { ...metadata, ...(resourceVersion === undefined ? {} : { resourceVersion }) };
    return { ...structuredClone(old), metadata: kept, spec: sent.spec };
  }

  /** Sets the object's managed fields, as they are after the write. */
  #own(
    next: ApiObject,
    {
      live,
      sent,
      writer,
    }: { live: ApiObject | undefined; sent: ManagedFieldsEntry[] | undefined; writer: FieldWriter | undefined },
  ): void {
    const context = { schema: this.resource.schema, hasStatus: this.#hasStatus, now: kubernetesTime() };
    const managedFields =
      writer === undefined
        ? live?.metadata.managedFields
        : writer.operation === 'Apply'
          ? sent
          : trackUpdate({ ...context, writer }, { live, next, sent });
    if (managedFields === undefined) delete next.metadata.managedFields;
    else next.metadata.managedFields = managedFields;
  }

  async #storeUpdate(
    next: ApiObject,
    current: StoredObject,
    options: UpdateOptions,
  ): Promise<StoredObject | undefined> {
    if (options.part === 'main') this.strategy.prepareForUpdate?.(next, current.object);
    // What goes along with a status, or a Pod's node, is no new generation.
    const generationOf = options.part === 'main' ? this.strategy.generationOf : undefined;
    if (generationOf !== undefined && !isDeepStrictEqual(plain(generationOf(next)), generationOf(current.object))) {
      next.metadata.generation = (current.object.metadata.generation ?? 0) + 1;
    }
    if (isFinished(next)) {
      this.#validate(next, { old: current.object, writer: options.writer });
      return this.#remove(current, options.dryRun);
    }
    return this.#store(next, current, { ...options, isChecked: options.part !== 'all' });
  }

  /** Validates, allocates and writes; nothing when another writer was faster. */
  async #store(
    draft: ApiObject,
    old: StoredObject | undefined,
    { dryRun, writer, isChecked = true }: WriteOptions & { readonly isChecked?: boolean },
  ): Promise<StoredObject | undefined> {
    const key = keyOf(this.resource, draft.metadata.namespace, draft.metadata.name ?? '');
    const allocation = isChecked ? this.#validate(draft, { old: old?.object, writer, key }) : undefined;
    try {
      const text = storageText(this.resource, draft);
      const content = { text, parsed: old === undefined ? draft : (JSON.parse(text) as ApiObject) };
      if (old !== undefined && isSame(content, old)) return old;
      if (dryRun) {
        if (old === undefined && this.cache.get(key) !== undefined) return undefined;
        return new StoredObject(key, old?.revision ?? 0, content);
      }
      const value = Buffer.from(text);
      this.#environment.cache.announce(value, content);
      const storageKey = storagePrefix(this.resource) + key;
      const revision = await this.#transact([
        { type: 'put', key: storageKey, value, expect: old?.revision ?? 0 },
        ...this.#claims(key, old?.object, content.parsed),
      ]);
      if (revision === undefined) return undefined;
      const cached = this.cache.get(key);
      return cached?.revision === revision ? cached : new StoredObject(key, revision, content);
    } finally {
      allocation?.release();
    }
  }

  async #remove(current: StoredObject, dryRun: boolean): Promise<StoredObject | undefined> {
    if (dryRun) return current;
    const key = storagePrefix(this.resource) + current.key;
    const revision = await this.#transact([
      { type: 'delete', key, expect: current.revision },
      ...this.#claims(current.key, current.object, undefined),
    ]);
    if (revision === undefined) return undefined;
    return new StoredObject(current.key, revision, { text: current.text, parsed: current.object });
  }

  /** What a Service has is claimed and given back in the transaction that stores it. */
  #claims(key: string, previous: ApiObject | undefined, current: ApiObject | undefined): Operation[] {
    if (this.resource !== resources.services) return [];
    const { store, cache } = this.#environment;
    const change = { previous: previous as Service | undefined, current: current as Service | undefined };
    return [...ipAddressOperations(key, change, cache), ...(store.isShared ? portClaimOperations(key, change) : [])];
  }

  /** Runs a transaction, and waits for the cache to know its outcome. The revision, or nothing if it lost a race. */
  async #transact(operations: readonly Operation[]): Promise<number | undefined> {
    const { store, cache } = this.#environment;
    const result = await store.transact(operations);
    if (result.ok) await cache.waitUntil(result.revision);
    else await cache.waitUntilFresh();
    return result.ok ? result.revision : undefined;
  }

  #validate(
    draft: ApiObject,
    { old, writer, key }: { old: ApiObject | undefined; writer: FieldWriter | undefined; key?: string },
  ): Allocation | undefined {
    const { resource, strategy } = this;
    const errors = new FieldErrors();
    validateMetadata(draft.metadata, { namespaced: resource.namespaced, name: strategy.name }, errors);
    if (old !== undefined) validateMetadataUpdate(draft.metadata, old.metadata, errors);
    const isService = key !== undefined && this.resource === resources.services;
    let allocation: Allocation | undefined;
    if (isService && errors.list.length === 0) {
      const versions = { service: draft as Service, before: old as Service | undefined };
      allocation = this.#environment.allocator.allocate(key, versions, errors);
      // Of what could not be completed there is nothing more to say.
      if (errors.list.length > 0) throw this.#invalid(draft, errors);
    }
    if (errors.list.length === 0) strategy.validate?.(draft, errors);
    if (old !== undefined) strategy.validateUpdate?.(draft, old, errors);
    strategy.validateVersion?.[writer?.apiVersion ?? '']?.(draft, old, errors);
    if (errors.list.length === 0) return allocation;
    allocation?.release();
    throw this.#invalid(draft, errors);
  }

  #invalid({ metadata }: ApiObject, errors: FieldErrors): StatusError {
    return invalid(this.resource, metadata.name ?? metadata.generateName ?? '', errors.list);
  }
}

/** Without what JSON would leave out, so that it can be compared with what was parsed. */
function plain(value: unknown): unknown {
  return value === undefined ? undefined : JSON.parse(JSON.stringify(value));
}

function isSame(content: { text: string; parsed: ApiObject }, old: StoredObject): boolean {
  if (content.text === old.text) return true;
  // The order of fields says nothing, and keeps the length.
  if (content.text.length !== old.text.length) return false;
  return isDeepStrictEqual(content.parsed, JSON.parse(old.text));
}

/** Whether an object being deleted has nobody left to wait for. */
function isFinished(object: ApiObject): boolean {
  const { deletionTimestamp, deletionGracePeriodSeconds = 0, finalizers = [] } = object.metadata;
  if (deletionTimestamp === undefined || deletionGracePeriodSeconds > 0 || finalizers.length > 0) return false;
  const spec = object.spec as { finalizers?: readonly string[] } | undefined;
  return object.kind !== 'Namespace' || (spec?.finalizers ?? []).length === 0;
}
