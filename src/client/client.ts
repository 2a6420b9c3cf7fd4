import type { DeleteOptions, Status } from '../api/generated/types.ts';
import type { KubernetesObject, Stored } from '../api/object.ts';
import { apiVersionOf, type ResourceKey, type ResourceTypes, resourcePath, resources } from '../api/resources.ts';
import { unreadableAnswer } from './connection-error.ts';
import {
  createHttpTransport,
  defaultTimeouts,
  type HttpResponse,
  type HttpTimeouts,
  type HttpTransport,
} from './http.ts';
import { jsonLines } from './json-lines.ts';
import { RateLimit, type RateLimitOptions } from './rate-limit.ts';
import {
  type ApiClient,
  ApiError,
  type ClientConfig,
  type ListOptions,
  type ObjectPlace,
  type Patch,
  type RawRequest,
  type WatchEvent,
  type WatchOptions,
} from './types.ts';

type Item<K extends ResourceKey> = Stored<ResourceTypes[K]>;

const pageSize = 500;
/** etcd takes no larger object than 1.5 MiB by default; this leaves room for other stores. */
const maxWatchLine = 32 * 1024 * 1024;
const maxListRestarts = 3;

const patchTypes: { readonly [T in Patch['type']]: string } = {
  json: 'application/json-patch+json',
  merge: 'application/merge-patch+json',
  strategic: 'application/strategic-merge-patch+json',
  apply: 'application/apply-patch+yaml',
};

/** One request that was answered, or failed. */
export interface Exchange {
  readonly method: string;
  /** `<error>` when no answer came. */
  readonly code: string;
  /** From sending it to the end of its answer; of a watch to the answer's head. */
  readonly milliseconds: number;
}

/** How a client behaves. */
export interface ConnectOptions {
  readonly timeouts?: HttpTimeouts;
  /** Bounds requests; the pages of one list are one. Absent: there is no bound. */
  readonly rateLimit?: RateLimitOptions;
  /** Told of every request. */
  readonly onExchange?: (exchange: Exchange) => void;
}

/** A client for the API server `config` names. Nothing is sent before the first call. */
export function connect(config: ClientConfig, options: ConnectOptions = {}): ApiClient {
  return new HttpApiClient(config, options);
}

class HttpApiClient implements ApiClient {
  readonly config: ClientConfig;
  readonly #http: HttpTransport;
  readonly #rateLimit: RateLimit | undefined;
  readonly #onExchange: (exchange: Exchange) => void;

  constructor(config: ClientConfig, { timeouts = defaultTimeouts, rateLimit, onExchange = () => {} }: ConnectOptions) {
    this.config = config;
    this.#http = createHttpTransport(config, timeouts);
    this.#rateLimit = rateLimit && new RateLimit(rateLimit);
    this.#onExchange = onExchange;
  }

  get<K extends ResourceKey>(resource: K, place: ObjectPlace): Promise<Item<K>> {
    return this.#call<Item<K>>('GET', resourcePath(resources[resource], place));
  }

  async list<K extends ResourceKey>(resource: K, options: ListOptions = {}) {
    for (let restart = 0; ; restart++) {
      try {
        // A list that expires while it is read would go on doing so: the last try asks for all of it at once.
        return await this.#listPages(resource, options, restart === maxListRestarts ? undefined : pageSize);
      } catch (error) {
        if (!(error instanceof ApiError) || error.code !== 410 || restart === maxListRestarts) throw error;
      }
    }
  }

  async #listPages<K extends ResourceKey>(resource: K, options: ListOptions, limit: number | undefined) {
    const { kind, ...of } = resources[resource];
    const apiVersion = apiVersionOf({ kind, ...of });
    const path = resourcePath(resources[resource], { namespace: options.namespace });
    const items: Item<K>[] = [];
    let next: string | undefined;
    let resourceVersion = '';
    await this.#rateLimit?.admit();
    do {
      const parameters = { ...selectors(options), limit, continue: next };
      const page = this.#parse(await this.#exchange('GET', path + query(parameters))) as {
        metadata?: { continue?: string; resourceVersion?: string };
        items?: Item<K>[] | null;
      };
      for (const item of page.items ?? []) items.push(Object.assign(item, { apiVersion, kind }));
      resourceVersion = page.metadata?.resourceVersion ?? '';
      next = page.metadata?.continue || undefined;
    } while (next !== undefined);
    return { items, resourceVersion };
  }

  create<K extends ResourceKey>(resource: K, object: ResourceTypes[K]): Promise<Item<K>> {
    const path = resourcePath(resources[resource], { namespace: object.metadata?.namespace });
    return this.#call<Item<K>>('POST', path, withKind(resource, object));
  }

  update<K extends ResourceKey>(
    resource: K,
    object: ResourceTypes[K],
    options: { readonly subresource?: string } = {},
  ): Promise<Item<K>> {
    const { namespace, name } = object.metadata ?? {};
    const path = resourcePath(resources[resource], { namespace, name, subresource: options.subresource });
    return this.#call<Item<K>>('PUT', path, withKind(resource, object));
  }

  patch<K extends ResourceKey>(resource: K, place: ObjectPlace, patch: Patch): Promise<Item<K>> {
    const parameters = patch.type === 'apply' ? { fieldManager: patch.fieldManager, force: patch.force } : {};
    const path = resourcePath(resources[resource], place) + query(parameters);
    return this.#call<Item<K>>('PATCH', path, patch.body, patchTypes[patch.type]);
  }

  async delete<K extends ResourceKey>(
    resource: K,
    place: ObjectPlace,
    options: Parameters<ApiClient['delete']>[2] = {},
  ): Promise<void> {
    const { uid, ...rest } = options;
    const body: DeleteOptions = { kind: 'DeleteOptions', apiVersion: 'v1', ...rest };
    if (uid !== undefined) body.preconditions = { uid };
    await this.#call('DELETE', resourcePath(resources[resource], place), body);
  }

  async *watch<K extends ResourceKey>(resource: K, options: WatchOptions): AsyncGenerator<WatchEvent<Item<K>>> {
    const path = resourcePath(resources[resource], { namespace: options.namespace });
    const parameters = {
      ...selectors(options),
      watch: 'true',
      allowWatchBookmarks: 'true',
      resourceVersion: options.resourceVersion,
      // Spread, so that the watches of all clients do not end together.
      timeoutSeconds: 300 + Math.floor(Math.random() * 300),
    };
    await this.#rateLimit?.admit();
    const request = { method: 'GET', path: path + query(parameters) };
    const answer = await this.#observed(
      'GET',
      () => this.#http.stream(request, options.signal),
      (answered) => ('status' in answered ? answered.status : 200),
    );
    if ('status' in answer) throw failure(answer);
    options.onOpen?.();
    try {
      for await (const event of jsonLines(answer, maxWatchLine)) yield watchEvent<Item<K>>(event);
    } catch (error) {
      throw error instanceof SyntaxError ? unreadableAnswer(this.config.server, error) : error;
    }
  }

  async raw({ method, path, body, contentType }: RawRequest): Promise<unknown> {
    const response = await this.#send(method, path, body, contentType);
    return response.contentType.includes('json') ? this.#parse(response) : response.body;
  }

  close(): void {
    this.#http.close();
  }

  async #call<T>(method: string, path: string, body?: object, contentType?: string): Promise<T> {
    const response = await this.#send(method, path, body, contentType);
    return this.#parse(response) as T;
  }

  #parse(response: HttpResponse): unknown {
    try {
      return JSON.parse(response.body);
    } catch (error) {
      throw unreadableAnswer(this.config.server, error);
    }
  }

  async #send(method: string, path: string, body?: unknown, contentType?: string): Promise<HttpResponse> {
    await this.#rateLimit?.admit();
    return this.#exchange(method, path, body, contentType);
  }

  async #exchange(
    method: string,
    path: string,
    body?: unknown,
    contentType = 'application/json',
  ): Promise<HttpResponse> {
    const request = {
      method,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': contentType } }),
    };
    const response = await this.#observed(
      method,
      () => this.#http.request(request),
      ({ status }) => status,
    );
    if (response.status >= 400) throw failure(response);
    return response;
  }

  /** Does it, and tells of it. */
  async #observed<T>(method: string, send: () => Promise<T>, statusOf: (answer: T) => number): Promise<T> {
    const began = performance.now();
    let code = '<error>';
    try {
      const answer = await send();
      code = String(statusOf(answer));
      return answer;
    } finally {
      this.#onExchange({ method, code, milliseconds: performance.now() - began });
    }
  }
}

function selectors(options: ListOptions) {
  return { labelSelector: options.labelSelector, fieldSelector: options.fieldSelector };
}

function query(parameters: { readonly [name: string]: string | number | boolean | undefined }): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) search.append(name, String(value));
  return search.size === 0 ? '' : `?${search}`;
}

function withKind<K extends ResourceKey>(resource: K, object: ResourceTypes[K]): KubernetesObject {
  return { apiVersion: apiVersionOf(resources[resource]), kind: resources[resource].kind, ...object };
}

function watchEvent<T>(event: unknown): WatchEvent<T> {
  const { type, object } = event as { type: string; object: unknown };
  if (type === 'ERROR') throw new ApiError(object as Status);
  return { type, object } as WatchEvent<T>;
}

/** The failure an answer tells: the server's own `Status`, or one made of what a proxy in between says. */
function failure(response: HttpResponse): ApiError {
  try {
    const body = JSON.parse(response.body) as Status | null;
    if (body?.kind === 'Status') return new ApiError({ ...body, code: body.code ?? response.status });
  } catch {
    // Not from an API server: told as text below.
  }
  const said = response.body.trim().slice(0, 200);
  return new ApiError({
    kind: 'Status',
    apiVersion: 'v1',
    status: 'Failure',
    code: response.status,
    message: `the server answered ${response.status}${said === '' ? '' : `: ${said}`}`,
  });
}
