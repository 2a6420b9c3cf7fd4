import { randomBytes } from 'node:crypto';
import type { Logger } from '../../component/log.ts';
import type { ForwardMetrics } from '../metrics.ts';
import { flag, rcode, recordType } from '../wire/constants.ts';
import { joinName, type Name } from '../wire/name.ts';
import type { Response } from '../wire/response.ts';
import { formatServerAddress, type ServerAddress } from './address.ts';
import { AnswerCache, type CacheOptions } from './cache.ts';
import { type Question, questionKey } from './question.ts';
import { Upstream } from './upstream.ts';

/** How other names are asked for. */
export interface ForwarderOptions {
  /** In order of preference; at least one. */
  readonly upstreams: readonly ServerAddress[];
  /** How long one server may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How long all of them together may take, in milliseconds. */
  readonly deadlineMs: number;
  /** Different questions under way at once; more are refused. */
  readonly maxInFlight: number;
  readonly cache: CacheOptions;
  readonly metrics: ForwardMetrics;
  readonly log: Logger;
}

/** What came of asking: another server's answer, `age` seconds old, or a response code of ours. */
export type Forwarded =
  | { readonly kind: 'answer'; readonly response: Response; readonly age: number; readonly cached: boolean }
  | { readonly kind: 'failure'; readonly rcode: number };

/** An upstream that failed is asked last for this long, in milliseconds. */
const avoidMs = 10_000;

/**
 * Asks the upstreams for names that are not the cluster's: the first that is well, then the others. Equal questions
 * under way share one answer, which also takes the sting out of a loop: a question that comes back waits for itself.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #upstreams: Upstream[];
  readonly #cache: AnswerCache;
  readonly #inFlight = new Map<string, Promise<Forwarded>>();
  readonly #probes = new Map<Name, Upstream>();
  #isClosed = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#upstreams = options.upstreams.map((address) => new Upstream(address));
    this.#cache = new AnswerCache(options.cache);
  }

  /** Answers kept. */
  get cacheSize(): number {
    return this.#cache.size;
  }

  /** The answer, at once if it is in the cache. Never rejects. */
  resolve(question: Question): Forwarded | Promise<Forwarded> {
    const key = questionKey(question);
    const hit = this.#cache.get(key);
    if (hit !== undefined) {
      this.#options.metrics.countCacheHit(hit.response.rcode === rcode.NXDOMAIN || hit.response.answer.length === 0);
      return { kind: 'answer', ...hit, cached: true };
    }
    this.#options.metrics.countCacheMiss();
    const underWay = this.#inFlight.get(key);
    if (underWay !== undefined) return underWay;
    // REFUSED lets a client go to its next server at once; it is what it would get from a server without upstreams.
    if (this.#upstreams.length === 0) return { kind: 'failure', rcode: rcode.REFUSED };
    if (this.#inFlight.size >= this.#options.maxInFlight) {
      this.#options.metrics.countReject();
      return { kind: 'failure', rcode: rcode.REFUSED };
    }
    const answer = this.#askAll(question).then((response): Forwarded => {
      this.#inFlight.delete(key);
      if (response === undefined) return { kind: 'failure', rcode: rcode.SERVFAIL };
      this.#cache.set(key, response);
      return { kind: 'answer', response, age: 0, cached: false };
    });
    this.#inFlight.set(key, answer);
    return answer;
  }

  /**
   * Asks each upstream a question nobody else asks. Comes it back to us, then that upstream's answers would be ours to
   * give: it is left out from then on.
   */
  probeForLoops(): void {
    for (const upstream of this.#upstreams) {
      const labels = [randomBytes(8).toString('hex'), randomBytes(8).toString('hex')];
      const name = joinName(labels);
      if (name === undefined) continue;
      this.#probes.set(name, upstream);
      const question = { name, type: recordType.HINFO, flags: flag.RD, dnssecOk: false };
      upstream.ask(question, this.#options.timeoutMs).catch(() => undefined);
    }
  }

  /** Whether a name that was asked for is one of our probes, come back. */
  sawProbe(name: Name): boolean {
    const upstream = this.#probes.get(name);
    if (upstream === undefined) return false;
    const at = this.#upstreams.indexOf(upstream);
    if (at >= 0) {
      this.#upstreams.splice(at, 1);
      upstream.close();
      const to = formatServerAddress(upstream.address);
      this.#options.log.error({ upstream: to }, 'this upstream sends queries back to this server; it is not asked');
    }
    return true;
  }

  /** Ends what is under way with SERVFAIL. Nobody may ask after that. */
  close(): void {
    this.#isClosed = true;
    for (const upstream of this.#upstreams) upstream.close();
  }

  /** The first answer that says something; failing that, the last that says no; `undefined` when nobody answered. */
  async #askAll(question: Question): Promise<Response | undefined> {
    const deadline = performance.now() + this.#options.deadlineMs;
    let refusal: Response | undefined;
    // A single upstream is asked twice: datagrams get lost.
    const order = this.#order();
    for (const upstream of order.length === 1 ? [...order, ...order] : order) {
      const timeout = Math.min(this.#options.timeoutMs, deadline - performance.now());
      if (timeout <= 0 || this.#isClosed) break;
      const response = await this.#askOne(upstream, question, timeout);
      if (response === undefined) continue;
      if (response.rcode === rcode.NOERROR || response.rcode === rcode.NXDOMAIN) return response;
      refusal = response;
    }
    return refusal;
  }

  async #askOne(upstream: Upstream, question: Question, timeoutMs: number): Promise<Response | undefined> {
    const to = formatServerAddress(upstream.address);
    const started = performance.now();
    try {
      const response = await upstream.ask(question, timeoutMs);
      this.#options.metrics.countUpstream(to, response.rcode, (performance.now() - started) / 1000);
      upstream.failedAt = undefined;
      return response;
    } catch (error) {
      this.#options.metrics.countUpstreamFailure(to);
      if (upstream.failedAt === undefined) this.#options.log.warn({ upstream: to, err: error }, 'upstream failed');
      upstream.failedAt = performance.now();
      return undefined;
    }
  }

  #order(): Upstream[] {
    const now = performance.now();
    const isWell = ({ failedAt }: Upstream) => failedAt === undefined || now - failedAt > avoidMs;
    return [...this.#upstreams.filter(isWell), ...this.#upstreams.filter((upstream) => !isWell(upstream))];
  }
}
