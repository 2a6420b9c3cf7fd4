import { randomBytes } from 'node:crypto';
import type { Logger } from '../../component/log.ts';
import type { ForwardSettings } from '../config/types.ts';
import { flag, rcode, recordType } from '../wire/constants.ts';
import { joinName, type Name } from '../wire/name.ts';
import type { Response } from '../wire/response.ts';
import type { AnswerCache, CachedAnswer } from './cache.ts';
import type { ForwardMetrics } from './forward-metrics.ts';
import { type Question, questionKey } from './question.ts';
import type { StreamTls } from './stream-exchange.ts';
import type { TargetServer } from './targets.ts';
import { Upstream } from './upstream.ts';

/** How other names are asked for. */
export interface ForwarderOptions {
  /** In the order of the configuration; where there is none, all is refused. */
  readonly upstreams: readonly TargetServer[];
  readonly settings: ForwardSettings;
  /** For upstreams whose transport is TLS. */
  readonly tls: StreamTls;
  /** How long one server may take, in milliseconds. */
  readonly timeoutMs: number;
  /** How long all of them together may take, in milliseconds. */
  readonly deadlineMs: number;
  /** Different questions under way at once; more are refused. */
  readonly maxInFlight: number;
  /** Where answers are kept; absent where they are not. */
  readonly cache: AnswerCache | undefined;
  /** Told of an upstream that sends queries back, and is not asked any more. */
  readonly onLoop?: (upstream: string) => void;
  /** Present where another process probes for loops, and is to be asked of a name that may be such a probe. */
  readonly askOfProbe?: (name: Name) => void;
  readonly metrics: ForwardMetrics;
  readonly log: Logger;
}

/**
 * No server is asked that has less time to answer, in milliseconds: it would be told of as failed. It is more than
 * timers lack, which count whole milliseconds and may end the one before a little early.
 */
const leastAskMs = 5;

/** That nobody answered. */
export interface ForwardFailure {
  readonly kind: 'failure';
  readonly rcode: number;
  /** Why, for the operator. */
  readonly problem: string;
}

/** Another server's answer, as it is to be passed on. */
export interface ForwardedAnswer {
  readonly kind: 'answer';
  readonly response: Response;
  /** The life to give its records, in seconds; `undefined` for what they say. */
  readonly ttl: number | undefined;
  readonly cached: boolean;
}

/** What came of asking: an answer, or a response code of ours. */
export type Forwarded = ForwardedAnswer | ForwardFailure;

/**
 * Asks upstreams for names that are not the cluster's: one by the policy, then the others. Equal questions under way
 * share one answer, which also takes the sting out of a loop: a question that comes back waits for itself.
 */
export class Forwarder {
  readonly #options: ForwarderOptions;
  readonly #upstreams: Upstream[];
  readonly #inFlight = new Map<string, Promise<Forwarded>>();
  readonly #probes = new Map<Name, Upstream>();
  readonly #leftOut: string[] = [];
  #turn = 0;
  #isClosed = false;

  constructor(options: ForwarderOptions) {
    this.#options = options;
    this.#upstreams = options.upstreams.map((server) => new Upstream({ ...options, server }));
  }

  /** The answer, at once if it is in the cache. Never rejects. */
  resolve(question: Question): Forwarded | Promise<Forwarded> {
    const { cache } = this.#options;
    const found = cache?.covers(question.name) === true ? cache.find(question) : undefined;
    if (cache === undefined || found === undefined) return this.#ask(question);
    if (found.isStale) return this.#resolveStale(question, found, cache);
    if (found.isWanted && !this.#inFlight.has(questionKey(question))) {
      cache.metrics.countPrefetch();
      void this.#ask(question);
    }
    return { kind: 'answer', response: found.response, ttl: found.ttl, cached: true };
  }

  /**
   * Asks each upstream a question nobody else asks, for a name in the zone it is for. Comes it back to us, then that
   * upstream's answers would be ours to give: it is left out from then on.
   */
  probeForLoops(): void {
    for (const upstream of this.#upstreams) {
      const labels = [randomBytes(8).toString('hex'), randomBytes(8).toString('hex')];
      const name = joinName(labels, this.#options.settings.from);
      if (name === undefined) continue;
      this.#probes.set(name, upstream);
      const question = { name, type: recordType.HINFO, flags: flag.RD, dnssecOk: false, transport: 'udp' } as const;
      upstream.ask(question, this.#options.timeoutMs).catch(() => undefined);
    }
  }

  /** Whether a name that was asked for is one of our probes, come back. */
  sawProbe(name: Name): boolean {
    const { askOfProbe } = this.#options;
    if (askOfProbe !== undefined && isProbe(name)) askOfProbe(name);
    const upstream = this.#probes.get(name);
    if (upstream === undefined) return false;
    if (this.#upstreams.includes(upstream)) {
      this.leaveOut(upstream.name);
      const { log, onLoop } = this.#options;
      onLoop?.(upstream.name);
      log.error({ upstream: upstream.name }, 'this upstream sends queries back to this server; it is not asked');
    }
    return true;
  }

  /** The upstreams that are not asked, because they send queries back. */
  get leftOut(): readonly string[] {
    return this.#leftOut;
  }

  /** Asks an upstream no more. */
  leaveOut(upstream: string): void {
    const at = this.#upstreams.findIndex(({ name }) => name === upstream);
    const [gone] = at < 0 ? [] : this.#upstreams.splice(at, 1);
    if (gone === undefined) return;
    this.#leftOut.push(upstream);
    gone.close();
  }

  /** Ends what is under way with SERVFAIL. Nobody may ask after that. */
  close(): void {
    this.#isClosed = true;
    for (const upstream of this.#upstreams) upstream.close();
  }

  /** An answer whose life is over (RFC 8767): given at once, or when upstreams have nothing better. */
  #resolveStale(question: Question, found: CachedAnswer, cache: AnswerCache): Forwarded | Promise<Forwarded> {
    const stale = { kind: 'answer', response: found.response, ttl: 0, cached: true } as const;
    const { refresh, verifyTimeoutMs } = cache.settings.serveStale ?? { refresh: 'immediate', verifyTimeoutMs: 0 };
    const asked = this.#ask(question);
    if (refresh === 'immediate') {
      cache.metrics.countStale();
      return stale;
    }
    return firstGood(asked, verifyTimeoutMs).then((answer) => {
      if (answer !== undefined) return answer;
      cache.metrics.countStale();
      return stale;
    });
  }

  /** Asks upstreams, or waits for the answer to the same question. */
  #ask(question: Question): Forwarded | Promise<Forwarded> {
    const { cache, maxInFlight, metrics } = this.#options;
    const key = questionKey(question);
    const underWay = this.#inFlight.get(key);
    if (underWay !== undefined) return underWay;
    // REFUSED lets a client go to its next server at once; it is what it would get from a server without upstreams.
    if (this.#upstreams.length === 0) return refused('there is nobody to ask');
    if (this.#inFlight.size >= maxInFlight) {
      metrics.countReject();
      return refused(`${maxInFlight} questions are under way`);
    }
    const answer = this.#askAll(question).then((response): Forwarded => {
      this.#inFlight.delete(key);
      if ('kind' in response) return response;
      const ttl = cache?.covers(question.name) === true ? cache.keep(question, response) : undefined;
      return { kind: 'answer', response, ttl, cached: false };
    });
    this.#inFlight.set(key, answer);
    return answer;
  }

  /** The first answer that says something; failing that, the last that says no. */
  async #askAll(question: Question): Promise<Response | ForwardFailure> {
    const deadline = performance.now() + this.#options.deadlineMs;
    let refusal: Response | undefined;
    const order = this.#order();
    let problem = order.length === 0 ? 'no healthy proxies' : 'no upstream answered';
    // A single upstream that says nothing is asked twice: datagrams get lost.
    for (const upstream of order.length === 1 ? [...order, ...order] : order) {
      const timeout = Math.min(this.#options.timeoutMs, deadline - performance.now());
      if (timeout < leastAskMs || this.#isClosed) break;
      const response = await this.#askOne(upstream, question, timeout);
      if (typeof response === 'string') problem = `no upstream answered, ${upstream.name} last: ${response}`;
      else if (isGood(response) && !this.#options.settings.failover.includes(response.rcode)) return response;
      else {
        refusal = response;
        if (order.length === 1) break;
      }
    }
    return refusal ?? { kind: 'failure', rcode: rcode.SERVFAIL, problem };
  }

  /** The answer, or what went wrong. */
  async #askOne(upstream: Upstream, question: Question, timeoutMs: number): Promise<Response | string> {
    const started = performance.now();
    try {
      const response = await upstream.ask(question, timeoutMs);
      this.#options.metrics.countAnswer(upstream.name, response.rcode, (performance.now() - started) / 1000);
      return response;
    } catch (error) {
      upstream.noteFailure();
      return reasonOf(error);
    }
  }

  /**
   * Whom to ask, in this order: by the policy, those that failed just now after the others, those that are down not at
   * all. When all are, it may well be the health check that fails: then anyone, unless nobody is to be asked then.
   */
  #order(): Upstream[] {
    const up = this.#byPolicy().filter(({ isDown }) => !isDown);
    if (up.length > 0) return [...up.filter(({ isSuspect }) => !isSuspect), ...up.filter(({ isSuspect }) => isSuspect)];
    this.#options.metrics.countAllDown();
    return this.#options.settings.failFast ? [] : shuffled(this.#upstreams).slice(0, 1);
  }

  #byPolicy(): readonly Upstream[] {
    const { policy } = this.#options.settings;
    if (policy === 'random') return shuffled(this.#upstreams);
    if (policy === 'sequential') return this.#upstreams;
    const start = this.#turn++ % this.#upstreams.length;
    return [...this.#upstreams.slice(start), ...this.#upstreams.slice(0, start)];
  }
}

/** Whether a name begins as probes do. */
function isProbe(name: Name): boolean {
  const hex = /^[\da-f]{16}$/;
  return [1, 18].every((at) => name.charCodeAt(at - 1) === 16 && hex.test(name.slice(at, at + 16)));
}

function refused(problem: string): ForwardFailure {
  return { kind: 'failure', rcode: rcode.REFUSED, problem };
}

/** In the words of CoreDNS' logs, by which its users tell such errors together (`consolidate 5m ".* i/o timeout$"`). */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error && error.code === 'ECONNREFUSED' ? 'connection refused' : error.message;
}

function isGood({ rcode: code }: Response): boolean {
  return code === rcode.NOERROR || code === rcode.NXDOMAIN;
}

/** What upstreams say, if it says something and, with a time other than 0, comes within it. */
async function firstGood(
  asked: Forwarded | Promise<Forwarded>,
  timeoutMs: number,
): Promise<ForwardedAnswer | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => {
    if (timeoutMs > 0) timer = setTimeout(() => resolve(undefined), timeoutMs);
  });
  const forwarded = await Promise.race([asked, late]);
  clearTimeout(timer);
  return forwarded?.kind === 'answer' && isGood(forwarded.response) ? forwarded : undefined;
}

function shuffled<T>(items: readonly T[]): T[] {
  const order = [...items];
  for (let i = order.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [order[i], order[j]] = [order[j] as T, order[i] as T];
  }
  return order;
}
