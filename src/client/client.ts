import type { DeleteOptions, Status } from '../api/generated/types.ts';
import type { KubernetesObject, Stored } from '../api/object.ts';
import { apiVersionOf, type ResourceKey, type ResourceTypes, resourcePath, resources } from '../api/resources.ts';
import type { Logger } from '../component/log.ts';
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
import { type Right, Troubles } from './troubles.ts';
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
  /** Told what keeps this client from its server, as `Troubles` says. */
  readonly log?: Logger;
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
  readonly #troubles: Troubles | undefined;
  #isClosed = false;

  constructor(config: ClientConfig, options: ConnectOptions) {
    const { timeouts = defaultTimeouts, rateLimit, onExchange = () => {}, log } = options;
    this.config = config;
    this.#http = createHttpTransport(config, timeouts);
    this.#rateLimit = rateLimit && new RateLimit(rateLimit);
    this.#onExchange = onExchange;
    this.#troubles = log && new Troubles({ log, server: config.server, version: () => this.#serverVersion() });
  }

  get<K extends ResourceKey>(resource: K, place: ObjectPlace): Promise<Item<K>> {
    const right = rightOf('get', resource, place);
    return this.#call<Item<K>>({ method: 'GET', path: resourcePath(resources[resource], place), right });
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
    const right = rightOf('list', resource, options);
    const items: Item<K>[] = [];
    let next: string | undefined;
    let resourceVersion = '';
    await this.#rateLimit?.admit();
    do {
      const parameters = { ...selectors(options), limit, continue: next };
      const page = this.#parse(await this.#exchange({ method: 'GET', path: path + query(parameters), right })) as {
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
    const { namespace } = object.metadata ?? {};
    const path = resourcePath(resources[resource], { namespace });
    const right = rightOf('create', resource, { namespace });
    return this.#call<Item<K>>({ method: 'POST', path, body: withKind(resource, object), right });
  }

  update<K extends ResourceKey>(
    resource: K,
    object: ResourceTypes[K],
    options: { readonly subresource?: string } = {},
  ): Promise<Item<K>> {
    const { namespace, name } = object.metadata ?? {};
    const path = resourcePath(resources[resource], { namespace, name, subresource: options.subresource });
    const right = rightOf('update', resource, { namespace, ...options });
    return this.#call<Item<K>>({ method: 'PUT', path, body: withKind(resource, object), right });
  }

  patch<K extends ResourceKey>(resource: K, place: ObjectPlace, patch: Patch): Promise<Item<K>> {
    const parameters = patch.type === 'apply' ? { fieldManager: patch.fieldManager, force: patch.force } : {};
    const path = resourcePath(resources[resource], place) + query(parameters);
    const right = rightOf('patch', resource, place);
    return this.#call<Item<K>>({ method: 'PATCH', path, body: patch.body, contentType: patchTypes[patch.type], right });
  }

  async delete<K extends ResourceKey>(
    resource: K,
    place: ObjectPlace,
    options: Parameters<ApiClient['delete']>[2] = {},
  ): Promise<void> {
    const { uid, ...rest } = options;
    const body: DeleteOptions = { kind: 'DeleteOptions', apiVersion: 'v1', ...rest };
    if (uid !== undefined) body.preconditions = { uid };
    const right = rightOf('delete', resource, place);
    await this.#call({ method: 'DELETE', path: resourcePath(resources[resource], place), body, right });
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
    const request = { method: 'GET', path: path + query(parameters), right: rightOf('watch', resource, options) };
    const answer = await this.#observed(
      request,
      async () => {
        const answered = await this.#http.stream(request, options.signal);
        if ('status' in answered) throw failure(answered);
        return { status: 200, answer: answered };
      },
      options.signal,
    );
    options.onOpen?.();
    try {
      for await (const event of jsonLines(answer, maxWatchLine)) yield watchEvent<Item<K>>(event);
    } catch (error) {
      throw error instanceof SyntaxError ? unreadableAnswer(this.config.server, error) : error;
    }
  }

  async raw(request: RawRequest): Promise<unknown> {
    const response = await this.#send(request);
    return response.contentType.includes('json') ? this.#parse(response) : response.body;
  }

  close(): void {
    this.#isClosed = true;
    this.#http.close();
  }

  async #call<T>(request: Asked): Promise<T> {
    return this.#parse(await this.#send(request)) as T;
  }

  #parse(response: HttpResponse): unknown {
    try {
      return JSON.parse(response.body);
    } catch (error) {
      throw unreadableAnswer(this.config.server, error);
    }
  }

  async #send(request: Asked): Promise<HttpResponse> {
    await this.#rateLimit?.admit();
    return this.#exchange(request);
  }

  #exchange(asked: Asked): Promise<HttpResponse> {
    const { method, path, body, contentType = 'application/json' } = asked;
    const request = {
      method,
      path,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': contentType } }),
    };
    return this.#observed(asked, async () => {
      const response = await this.#http.request(request);
      if (response.status >= 400) throw failure(response);
      return { status: response.status, answer: response };
    });
  }

  /** Does it, and tells of it. */
  async #observed<T>(
    { method, right }: Asked,
    send: () => Promise<{ readonly status: number; readonly answer: T }>,
    signal?: AbortSignal,
  ): Promise<T> {
    const began = performance.now();
    let code = '<error>';
    try {
      const { status, answer } = await send();
      code = String(status);
      this.#troubles?.succeeded(right);
      return answer;
    } catch (error) {
      if (error instanceof ApiError) code = String(error.code);
      // What was given up on this side says nothing of the server.
      if (!this.#isClosed && signal?.aborted !== true) this.#troubles?.failed(right, error);
      throw error;
    } finally {
      this.#onExchange({ method, code, milliseconds: performance.now() - began });
    }
  }

  async #serverVersion(): Promise<string> {
    const answer = (await this.raw({ method: 'GET', path: '/version' })) as { readonly gitVersion?: unknown } | null;
    return typeof answer?.gitVersion === 'string' ? answer.gitVersion : 'of unknown version';
  }
}

/** A request, and the right it takes where that is known. */
interface Asked extends RawRequest {
  readonly right?: Right;
}

function rightOf(
  verb: string,
  key: ResourceKey,
  { namespace, subresource }: { readonly namespace?: string | undefined; readonly subresource?: string },
): Right {
  const { group, version, plural } = resources[key];
  return { verb, group, version, resource: subresource === undefined ? plural : `${plural}/${subresource}`, namespace };
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
