import { type ResourceKey, resources } from '../api/resources.ts';
import type { Logger } from '../component/log.ts';
import { isSignalboxError, SignalboxError } from '../errors/error.ts';
import { messageOf } from './body.ts';
import { discover } from './discovery.ts';
import type { ApiServerMetrics } from './metrics.ts';
import { Registry, type RegistryEnvironment } from './registry.ts';
import { type ResourceRequest, readResourceRequest } from './request-info.ts';
import { type ApiAnswer, type ApiRequest, jsonAnswer, streamed, textAnswer } from './requests.ts';
import { handleResource } from './resource-handlers.ts';
import {
  insufficientStorage,
  internalError,
  methodNotAllowed,
  noSuchPath,
  StatusError,
  tooLargeToStore,
  unauthorized,
  unavailable,
} from './status.ts';
import { version } from './version.ts';

const healthPaths = ['/livez', '/readyz', '/healthz'];

/** What the handler is made of. */
export interface ApiHandlerParts {
  readonly environment: RegistryEnvironment;
  readonly metrics: ApiServerMetrics;
  readonly log: Logger;
  /** `host:port`, for clients that ask where they are. */
  readonly serverAddress: string;
}

/** Answers every request: health, discovery, resources. */
export class ApiHandler {
  readonly registries: { readonly [K in ResourceKey]: Registry };
  readonly #parts: ApiHandlerParts;

  constructor(parts: ApiHandlerParts) {
    this.#parts = parts;
    const keys = Object.keys(resources) as ResourceKey[];
    const entries = keys.map((key) => [key, new Registry(key, parts.environment)]);
    this.registries = Object.fromEntries(entries) as { [K in ResourceKey]: Registry };
  }

  /** Never rejects: what goes wrong is an answer too. */
  async handle(request: ApiRequest): Promise<ApiAnswer | typeof streamed> {
    const info = readResourceRequest(request.method, request.path, request.query);
    const end = this.#parts.metrics.begin(info, request.method);
    try {
      const answer = await this.#route(request, info);
      end(answer === streamed ? 200 : answer.code);
      return answer;
    } catch (error) {
      const { status } = this.#toStatusError(error, request);
      end(status.code);
      return jsonAnswer(status.code, status);
    }
  }

  async #route(request: ApiRequest, info: ResourceRequest | undefined): Promise<ApiAnswer | typeof streamed> {
    const { path, method } = request;
    const isRead = method === 'GET' || method === 'HEAD';
    if (isRead && healthPaths.includes(path)) return this.#health(path);
    if (request.user === undefined) throw unauthorized();
    // Authorization belongs here, between knowing who asks for what and doing it. As yet, everybody to whom the
    // cluster's authority has given a certificate may do everything.
    if (info !== undefined) {
      if (info.verb === undefined) throw methodNotAllowed(info.resource);
      const { environment } = this.#parts;
      return handleResource({ request, info, registry: this.registries[info.key], environment });
    }
    const answer = isRead ? await this.#readOther(request) : undefined;
    if (answer === undefined) throw noSuchPath();
    return answer;
  }

  async #readOther(request: ApiRequest): Promise<ApiAnswer | undefined> {
    const { metrics, serverAddress } = this.#parts;
    if (request.path === '/version' || request.path === '/version/') return jsonAnswer(200, version);
    if (request.path === '/metrics') return { code: 200, type: metrics.contentType, body: await metrics.text() };
    if (request.path.startsWith('/openapi/v3')) {
      // Large, and asked for by few.
      const { describeApi } = await import('./openapi.ts');
      return describeApi(request.path);
    }
    return discover(request, serverAddress);
  }

  /** Ready is a server that can still read its store and write to it. */
  async #health(path: string): Promise<ApiAnswer> {
    if (path === '/livez') return textAnswer(200, 'ok');
    try {
      await this.#parts.environment.cache.waitUntilFresh();
      return textAnswer(200, 'ok');
    } catch (error) {
      return textAnswer(500, `the store is not followed: ${messageOf(error)}`);
    }
  }

  #toStatusError(error: unknown, request: ApiRequest): StatusError {
    if (error instanceof StatusError) return error;
    this.#parts.log.error({ err: error, method: request.method, path: request.path }, 'request failed');
    if (isSignalboxError(error, 'STORE_FULL')) return insufficientStorage(error.message);
    if (isSignalboxError(error, 'STORE_TOO_LARGE')) return tooLargeToStore(error.message);
    if (error instanceof SignalboxError) return unavailable(error.message);
    return internalError(messageOf(error));
  }
}
