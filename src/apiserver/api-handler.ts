import { version } from '../api/kubernetes-version.ts';
import { type ResourceKey, resources } from '../api/resources.ts';
import type { Logger } from '../component/log.ts';
import { isSignalboxError, SignalboxError } from '../errors/error.ts';
import { accessRequestOf } from './access/access-request.ts';
import { admissionFor } from './access/admission.ts';
import type { Authorizer } from './access/authorizer.ts';
import { impersonate } from './access/impersonation.ts';
import { jsonWebKeySet } from './access/jwt.ts';
import { answerReview } from './access/reviews.ts';
import type { ServiceAccountAdmission } from './access/service-account-admission.ts';
import type { ServiceAccountTokens } from './access/service-account-tokens.ts';
import { requestToken } from './access/token-request.ts';
import { messageOf, parseBody } from './body.ts';
import { discover } from './discovery.ts';
import { answerHealth, type HealthCheck, healthQuestion } from './health.ts';
import type { ApiServerMetrics } from './metrics.ts';
import { negotiate } from './negotiation.ts';
import { isPodStream } from './node-api/pod-streams.ts';
import { present } from './presentation.ts';
import { Registry, type RegistryEnvironment } from './registry.ts';
import { isReview, type ResourceRequest } from './request-info.ts';
import { type ApiAnswer, type ApiRequest, formatWarning, jsonAnswer, statusAnswer, streamed } from './requests.ts';
import { handleResource } from './resource-handlers.ts';
import {
  insufficientStorage,
  internalError,
  methodNotAllowed,
  noSuchPath,
  StatusError,
  tooMuch,
  unauthorized,
  unavailable,
} from './status.ts';
import type { User } from './user.ts';

/** What the handler is made of. */
export interface ApiHandlerParts {
  readonly environment: RegistryEnvironment;
  readonly metrics: ApiServerMetrics;
  readonly log: Logger;
  readonly authorizer: Authorizer;
  readonly tokens: ServiceAccountTokens;
  /** Absent: Pods get no tokens. */
  readonly serviceAccounts: ServiceAccountAdmission | undefined;
  /** `host:port`, for clients that ask where they are. */
  readonly serverAddress: string;
}

/** Answers every request: health, discovery, resources. */
export class ApiHandler {
  readonly registries: { readonly [K in ResourceKey]: Registry };
  readonly #parts: ApiHandlerParts;
  readonly #health: { readonly checks: readonly HealthCheck[]; onFailure: (name: string, error: unknown) => void };

  constructor(parts: ApiHandlerParts) {
    this.#parts = parts;
    const { environment, log } = parts;
    this.#health = {
      checks: [
        { name: 'ping', of: 'livez', run: async () => {} },
        // Ready is a server that still sees what its store has.
        { name: 'etcd', of: 'readyz', run: () => environment.cache.waitUntilFresh() },
      ],
      onFailure: (check, err) => log.warn({ err, check }, 'a health check failed'),
    };
    const keys = Object.keys(resources) as ResourceKey[];
    const entries = keys.map((key) => [key, new Registry(key, parts.environment)]);
    this.registries = Object.fromEntries(entries) as { [K in ResourceKey]: Registry };
  }

  /** Never rejects: what goes wrong is an answer too. */
  async handle(request: ApiRequest): Promise<ApiAnswer | typeof streamed> {
    const { info } = request;
    const end = this.#parts.metrics.begin(info, request.method);
    try {
      const routed = await this.#route(request, info);
      const answer = routed === streamed ? routed : await present(routed, request);
      end(answer === streamed ? request.response.statusCode : answer.code);
      return answer;
    } catch (error) {
      const { status } = this.#toStatusError(error, request);
      end(status.code);
      return present(statusAnswer(status), request);
    }
  }

  async #route(request: ApiRequest, info: ResourceRequest | undefined): Promise<ApiAnswer | typeof streamed> {
    const { path, method } = request;
    const isRead = method === 'GET' || method === 'HEAD';
    const health = isRead ? healthQuestion(path) : undefined;
    // How the server is, anybody may ask; single checks are for who may read them.
    if (health !== undefined && health.check === undefined) return answerHealth(health, request.query, this.#health);
    const user = this.authorize(request, info);
    if (health !== undefined) return answerHealth(health, request.query, this.#health);
    if (info !== undefined) return this.#answerResource({ ...request, user }, info, user);
    const answer = isRead ? await this.#readOther(request) : undefined;
    if (answer === undefined) throw noSuchPath();
    return answer;
  }

  /**
   * As whom a request is to be taken: its sender, or the one the sender acts as, who may do what is asked for.
   * @throws StatusError 401, 403
   */
  authorize(
    request: Pick<ApiRequest, 'method' | 'path' | 'query' | 'headers' | 'user'>,
    info: ResourceRequest | undefined,
  ): User {
    if (request.user === undefined) throw unauthorized();
    const { authorizer } = this.#parts;
    const user = impersonate(request.user, request.headers, authorizer);
    authorizer.require(accessRequestOf(user, request, info));
    // A WebSocket begins with a GET, and who may look is not thereby one who may run commands (since Kubernetes 1.35).
    const opens = info?.verb === 'get' && isPodStream(info.subresource ?? '') && info.subresource !== 'log';
    if (opens) authorizer.require(accessRequestOf(user, request, { ...info, verb: 'create' }));
    return user;
  }

  async #answerResource(request: ApiRequest, info: ResourceRequest, user: User): Promise<ApiAnswer | typeof streamed> {
    const { environment, authorizer, tokens, serviceAccounts } = this.#parts;
    const { key, resource, verb, namespace } = info;
    const isProxied = info.subresource === 'proxy';
    if (verb === undefined && !(isProxied && request.method === 'OPTIONS')) throw methodNotAllowed(resource);
    if (isReview(key)) {
      if (verb !== 'create') throw methodNotAllowed(resource);
      negotiate(request.headers.accept, 'whole');
      return answerReview({ key, namespace, user }, request, { authorizer, tokens });
    }
    const registry = this.registries[key].withAdmission(admissionFor(user, { authorizer, serviceAccounts }));
    if (info.subresource === 'token' && info.name !== undefined) {
      if (verb !== 'create') throw methodNotAllowed(resource);
      negotiate(request.headers.accept, 'whole');
      const account = await registry.get({ namespace, name: info.name });
      const body = await parseBody(request.body, request.headers['content-type'], 'TokenRequest');
      return requestToken(body, { account, user, tokens, cache: environment.cache });
    }
    const { deprecation } = registry.strategy;
    if (deprecation === undefined) return handleResource({ request, info, registry, environment });
    // Set beforehand, because a watch answers by itself.
    request.response.setHeader('warning', formatWarning(deprecation));
    const answer = await handleResource({ request, info, registry, environment });
    return answer === streamed ? answer : { ...answer, warnings: [deprecation, ...(answer.warnings ?? [])] };
  }

  async #readOther(request: ApiRequest): Promise<ApiAnswer | undefined> {
    const { metrics, serverAddress, tokens } = this.#parts;
    if (request.path === '/version' || request.path === '/version/') return jsonAnswer(200, version);
    if (request.path === '/metrics') return { code: 200, type: metrics.contentType, body: await metrics.text() };
    if (request.path.startsWith('/openapi/')) {
      // Large, and asked for by few.
      const { describeApi } = await import('./openapi.ts');
      return describeApi(request);
    }
    const { path } = request;
    if (path === '/openid/v1/jwks' || path === '/openid/v1/jwks/') {
      return { ...jsonAnswer(200, jsonWebKeySet(tokens.key)), type: 'application/jwk-set+json' };
    }
    if (/^\/\.well-known\/openid-configuration\/?$/.test(path)) {
      return jsonAnswer(200, {
        issuer: tokens.issuer,
        jwks_uri: `https://${serverAddress}/openid/v1/jwks`,
        response_types_supported: ['id_token'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: ['ES256'],
      });
    }
    return discover(request, serverAddress);
  }

  #toStatusError(error: unknown, request: ApiRequest): StatusError {
    if (error instanceof StatusError) return error;
    this.#parts.log.error({ err: error, method: request.method, path: request.path }, 'request failed');
    if (isSignalboxError(error, 'STORE_FULL')) return insufficientStorage(error.message);
    if (isSignalboxError(error, 'STORE_TOO_LARGE')) return tooMuch(error.message);
    if (error instanceof SignalboxError) return unavailable(error.message);
    return internalError(messageOf(error));
  }
}
