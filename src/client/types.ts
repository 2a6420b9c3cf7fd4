import type { Status } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import type { ResourceKey, ResourceTypes } from '../api/resources.ts';

/** How to reach and to be known to an API server; what a kubeconfig context comes down to. */
export interface ClientConfig {
  /** `https://host:port`, perhaps with a path. */
  readonly server: string;
  /** Others that serve the same API with the same authority and credentials; each is asked when others cannot be reached. */
  readonly otherServers?: readonly string[];
  /** PEM. The authorities Node trusts when absent. */
  readonly certificateAuthority?: string;
  /** PEM, both or neither. */
  readonly clientCertificate?: string;
  readonly clientKey?: string;
  /** For servers that are to be trusted whatever certificate they show (kubeconfig `insecure-skip-tls-verify`). */
  readonly insecureSkipTlsVerify?: boolean;
  /** The name the server's certificate must carry, where it is not the host of `server`. */
  readonly tlsServerName?: string;
  /** Asked before each request, so that tokens can be renewed. */
  readonly token?: () => string | Promise<string>;
  /** Asked before each request, for certificates that change; in place of `clientCertificate` and `clientKey`. */
  readonly clientIdentity?: () => Promise<ClientIdentity | undefined>;
  /** Told when the server refused the credentials (401): what was cached is to be forgotten. The request is sent once more. */
  readonly onUnauthorized?: () => void;
  /** Name of the component that asks, as managed fields and the server's log have it; `signalbox` unless told. */
  readonly component?: string;
  /** Namespace of the kubeconfig's context. */
  readonly namespace?: string;
}

/** A client certificate and its private key, PEM. */
export interface ClientIdentity {
  readonly certificate: string;
  readonly key: string;
}

/** An object's place. `namespace` is absent for cluster-scoped resources. */
export interface ObjectPlace {
  readonly namespace?: string | undefined;
  readonly name: string;
  readonly subresource?: string;
}

/** What a list or watch is confined to. */
export interface ListOptions {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
}

/** What a watch is confined to, and where it begins. */
export interface WatchOptions extends ListOptions {
  readonly resourceVersion: string;
  readonly signal: AbortSignal;
  readonly onOpen?: () => void;
}

/** One event of a watch. A bookmark's object has nothing but a resource version. */
export interface WatchEvent<T> {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: T;
}

/** A change as a patch, by the media type it is sent with. */
export type Patch =
  | { readonly type: 'json'; readonly body: readonly object[] }
  | { readonly type: 'merge' | 'strategic'; readonly body: object }
  | { readonly type: 'apply'; readonly body: object; readonly fieldManager: string; readonly force?: boolean };

/** A request by path. */
export interface RawRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Media type of the body; `application/json` unless told. */
  readonly contentType?: string;
}

/**
 * Typed access to a Kubernetes API, ours or another. Every call rejects with `ApiError` when the server answered with a
 * failure, with `API_UNREACHABLE` when no answer came (worth another try), and with `API_UNTRUSTED` when one of the two
 * does not accept the other's certificate (not worth one). Every call but a watch ends within a minute.
 */
export interface ApiClient {
  readonly config: ClientConfig;
  get<K extends ResourceKey>(resource: K, place: ObjectPlace): Promise<Stored<ResourceTypes[K]>>;
  /** The whole list, page by page, as of one resource version. Items carry `apiVersion` and `kind`, which servers leave out. */
  list<K extends ResourceKey>(
    resource: K,
    options?: ListOptions,
  ): Promise<{ readonly items: Stored<ResourceTypes[K]>[]; readonly resourceVersion: string }>;
  /** The namespace is that of the object's metadata. */
  create<K extends ResourceKey>(resource: K, object: ResourceTypes[K]): Promise<Stored<ResourceTypes[K]>>;
  /** Conflicts when the object's resource version is no longer the stored one. */
  update<K extends ResourceKey>(
    resource: K,
    object: ResourceTypes[K],
    options?: { readonly subresource?: string },
  ): Promise<Stored<ResourceTypes[K]>>;
  patch<K extends ResourceKey>(resource: K, place: ObjectPlace, patch: Patch): Promise<Stored<ResourceTypes[K]>>;
  delete<K extends ResourceKey>(
    resource: K,
    place: ObjectPlace,
    options?: {
      readonly gracePeriodSeconds?: number;
      readonly propagationPolicy?: 'Background' | 'Foreground' | 'Orphan';
      readonly uid?: string;
    },
  ): Promise<void>;
  /**
   * Events after `resourceVersion`, until the server ends the watch or the signal aborts (the iteration ends), bookmarks
   * among them. Throws `ApiError` 410 when the server no longer knows that version: list again. `onOpen` is called when
   * the server has taken the watch, however long it has nothing to say.
   */
  watch<K extends ResourceKey>(resource: K, options: WatchOptions): AsyncIterable<WatchEvent<Stored<ResourceTypes[K]>>>;
  /** For what has no typed call. The answer is parsed JSON, or text. */
  raw(request: RawRequest): Promise<unknown>;
  close(): void;
}

/** The API server's answer was a failure; `status` says which. */
export class ApiError extends Error {
  readonly status: Status;

  constructor(status: Status) {
    super(status.message ?? `the API server answered ${status.code ?? 'with an error'}`);
    this.name = 'ApiError';
    this.status = status;
  }

  /** The HTTP status code. */
  get code(): number {
    return this.status.code ?? 0;
  }

  /** Kubernetes' machine-readable reason: `NotFound`, `Conflict`, `AlreadyExists`, `Invalid`, … */
  get reason(): string {
    return this.status.reason ?? '';
  }
}

/** One object's step. No `previous`: added. No `current`: deleted. */
export interface Change<T> {
  readonly key: string;
  readonly previous: T | undefined;
  readonly current: T | undefined;
}

/**
 * A local copy of a list that follows the API: list, then watch from there, again after every break, with back-off.
 * Listeners are called in order of resource version, with the store already changed.
 */
export interface Informer<K extends ResourceKey> {
  /** By `objectKey`. Objects are shared by all readers: never change one. `metadata.managedFields` is left out. */
  readonly store: ReadonlyMap<string, Stored<ResourceTypes[K]>>;
  /** Resolves when the first list is in the store and its listeners have run; rejects when stopped before. */
  readonly synced: Promise<void>;
  readonly hasSynced: boolean;
  /** How far the store has followed the API: all changes up to this version are in it. Empty before the first list. */
  readonly resourceVersion: string;
  /**
   * Since when the API may have changes that the store has not, in milliseconds since 1970: there is no watch. Absent
   * while there is one.
   */
  readonly behindSince: number | undefined;
  /** Registers a listener; objects already in the store are replayed to it as added, at once. Returns its removal. */
  onChange(listener: (change: Change<Stored<ResourceTypes[K]>>) => void): () => void;
  stop(): void;
}
