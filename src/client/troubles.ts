import type { Logger } from '../component/log.ts';
import { isSignalboxError, SignalboxError } from '../errors/error.ts';
import { ApiError } from './types.ts';

/** A right, as rules of roles name it. */
export interface Right {
  readonly verb: string;
  /** Empty for the core group. */
  readonly group: string;
  readonly version: string;
  /** Plural, with `/subresource` if one is asked for. */
  readonly resource: string;
  /** Absent for all namespaces, and for what is in none. */
  readonly namespace?: string | undefined;
}

/** What troubles are told with. */
export interface TroublesOptions {
  readonly log: Logger;
  readonly server: string;
  /** The server's version, `v1.20.4`; asked for when it does not serve a resource. */
  readonly version: () => Promise<string>;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** A server that starts again, or is busy, is away for a moment: nobody needs to hear of that. */
const patienceMs = 2_000;
/** What lasts is told again so often. */
const remindMs = 300_000;
const maxTroubles = 256;
/** What is wrong with these is wrong whatever is asked for. */
const credentials = 'credentials';
/** The first with all resources that are asked for: EndpointSlices are in `discovery.k8s.io/v1`. */
const leastVersion = '1.21';

interface Trouble {
  readonly since: number;
  toldAt?: number;
}

/**
 * Tells a log what keeps a component from its API server and what its user can do: rights that are missing, credentials
 * that are not accepted, resources the server does not have, a server that is not reached or not trusted. Each is told
 * once, again every five minutes while it lasts, and when it is over.
 */
export class Troubles {
  readonly #options: TroublesOptions;
  /** By right; the connection under '', and `credentials`. */
  readonly #troubles = new Map<string, Trouble>();

  constructor(options: TroublesOptions) {
    this.#options = options;
  }

  /** A request got what it asked for. */
  succeeded(right: Right | undefined): void {
    if (this.#troubles.size === 0) return;
    this.#end('', 'the API server answers again');
    this.#end(credentials, 'the API server accepts the credentials again');
    if (right !== undefined) this.#end(nameOf(right), 'the API server grants this now');
  }

  /** A request got a failure, or no answer. */
  failed(right: Right | undefined, error: unknown): void {
    if (!(error instanceof ApiError)) this.#noAnswer(error);
    else {
      if (error.code < 500) this.#end('', 'the API server answers again');
      if (right !== undefined) this.#refused(right, error);
    }
  }

  #noAnswer(error: unknown): void {
    if (!isSignalboxError(error)) return;
    // Waiting does not mend what the other codes are about.
    const patience = error.code === 'API_UNREACHABLE' ? patienceMs : 0;
    this.#tell('', patience, () =>
      this.#options.log.warn({ err: error }, 'the API server is not to be had; tries go on'),
    );
  }

  #refused(right: Right, error: ApiError): void {
    const { log, server } = this.#options;
    const name = nameOf(right);
    if (error.code === 401) {
      this.#tell(credentials, 0, () =>
        log.error({ err: unauthenticated(server, error) }, 'not known to the API server'),
      );
    } else if (isMissingRight(error)) {
      const { verb, group, resource, namespace } = right;
      const fields = { verb, group, resource, namespace, err: forbidden(right, error) };
      this.#tell(name, 0, () => log.error(fields, 'a right is missing'));
    } else if (error.code === 404 && (right.verb === 'list' || right.verb === 'watch')) {
      this.#tell(name, 0, () => void this.#tellNotServed(right));
    } else if (error.code === 429 || error.code >= 500) {
      this.#tell(name, patienceMs, () => log.warn({ request: name, err: error }, 'the API server fails; tries go on'));
    }
  }

  async #tellNotServed(right: Right): Promise<void> {
    const version = await this.#options.version().catch(() => 'of unknown version');
    const err = new SignalboxError('API_NOT_SERVED', {
      object: `API server ${this.#options.server} (Kubernetes ${version})`,
      problem: `does not serve ${right.resource} of ${right.group === '' ? '' : `${right.group}/`}${right.version}`,
      remedy: `use a cluster of Kubernetes ${leastVersion} or later`,
    });
    this.#options.log.error({ err }, 'the API server is too old');
  }

  #tell(name: string, patience: number, tell: () => void): void {
    const { now = Date.now } = this.#options;
    const trouble: Trouble = this.#troubles.get(name) ?? { since: now() };
    if (this.#troubles.size < maxTroubles) this.#troubles.set(name, trouble);
    const isDue = trouble.toldAt === undefined ? now() - trouble.since >= patience : now() - trouble.toldAt >= remindMs;
    if (!isDue) return;
    trouble.toldAt = now();
    tell();
  }

  #end(name: string, message: string): void {
    const trouble = this.#troubles.get(name);
    if (trouble === undefined) return;
    this.#troubles.delete(name);
    const { log, now = Date.now } = this.#options;
    if (trouble.toldAt !== undefined)
      log.info({ ...(name === '' ? {} : { request: name }), afterMs: now() - trouble.since }, message);
  }
}

/** `list endpointslices.discovery.k8s.io in all namespaces`. */
function nameOf({ verb, group, resource, namespace }: Right): string {
  const [plural = '', subresource] = resource.split('/');
  const qualified = `${plural}${group === '' ? '' : `.${group}`}${subresource === undefined ? '' : `/${subresource}`}`;
  return `${verb} ${qualified} ${namespace === undefined ? 'at the cluster scope' : `in namespace ${namespace}`}`;
}

/** An authorizer's refusal. Admission, quotas and namespaces that end say 403 too, in words of their own. */
function isMissingRight(error: ApiError): boolean {
  return error.code === 403 && /\bUser ".*" cannot /.test(error.message);
}

function forbidden(right: Right, error: ApiError): SignalboxError {
  const user = /\bUser "(.*?)" cannot /.exec(error.message)?.[1] ?? 'this user';
  return new SignalboxError('API_FORBIDDEN', {
    object: user,
    problem: `may not ${nameOf(right)}`,
    remedy: 'grant it by a role; docs/join.md lists what each component needs',
  });
}

function unauthenticated(server: string, error: ApiError): SignalboxError {
  return new SignalboxError('API_UNAUTHENTICATED', {
    object: `API server ${server}`,
    problem: `does not know who asks (${error.message})`,
    remedy: 'renew the token or client certificate of the kubeconfig; it may have expired or be of another cluster',
  });
}
