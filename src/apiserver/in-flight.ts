import { isHealthPath, isTrue, type ResourceRequest } from './request-info.ts';
import type { User } from './user.ts';

/** How many requests are answered at the same time, and how long one may take to arrive. */
export interface RequestLimits {
  /** Requests that read; as `--max-requests-inflight` of kube-apiserver. */
  readonly reads: number;
  /** Requests that write; as `--max-mutating-requests-inflight`. */
  readonly writes: number;
  /** Requests without an end of their own: watches, logs that are followed, streams of Pods, and what is proxied. */
  readonly streams: number;
  /** Milliseconds a request may take to arrive, and a client to take any of its answer. */
  readonly requestMs: number;
  /** Bytes of answers that wait for their clients to take them, all together. */
  readonly answerBytes: number;
}

export const defaultLimits: RequestLimits = {
  reads: 400,
  writes: 200,
  streams: 10_000,
  requestMs: 60_000,
  answerBytes: 512 << 20,
};

/** What has to be known of a request to count it. */
export interface CountedRequest {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly user: User | undefined;
  readonly info: ResourceRequest | undefined;
}

/** Answers below this many bytes are not counted: as many as there may be requests do no harm. */
const smallAnswer = 64 << 10;

type Room = 'reads' | 'writes' | 'streams';

/**
 * Counts requests under way, by kind, and the bytes of their answers, and refuses those there is no room for. Health is
 * always answered, and so are administrators: they come to see what is wrong.
 */
export class InFlight {
  readonly #limits: RequestLimits;
  readonly #taken: { [room in Room]: number } = { reads: 0, writes: 0, streams: 0 };

  #answerBytes = 0;

  constructor(limits: RequestLimits) {
    this.#limits = limits;
  }

  /** Takes room for a request, which the result gives back when it is called, once. Nothing when there is none. */
  enter(request: CountedRequest): (() => void) | undefined {
    const room = roomOf(request);
    const isExempt = isHealthPath(request.path) || request.user?.groups.includes('system:masters') === true;
    if (!isExempt && this.#taken[room] >= this.#limits[room]) return undefined;
    this.#taken[room]++;
    return once(() => this.#taken[room]--);
  }

  /**
   * Takes room for an answer of so many bytes, which the result gives back when it is called, once. Nothing when there is
   * none: many clients that read slowly would else hold as many copies of the longest list in memory.
   */
  hold(bytes: number): (() => void) | undefined {
    if (bytes < smallAnswer) return () => {};
    if (this.#answerBytes > 0 && this.#answerBytes + bytes > this.#limits.answerBytes) return undefined;
    this.#answerBytes += bytes;
    return once(() => {
      this.#answerBytes -= bytes;
    });
  }
}

function once(giveBack: () => void): () => void {
  let isInside = true;
  return () => {
    if (isInside) giveBack();
    isInside = false;
  };
}

function roomOf({ method, query, info }: CountedRequest): Room {
  if (info?.verb === 'watch') return 'streams';
  switch (info?.subresource) {
    case 'exec':
    case 'attach':
    case 'portforward':
    case 'proxy':
      return 'streams';
    case 'log':
      return isTrue(query.get('follow')) ? 'streams' : 'reads';
    default:
      return method === 'GET' || method === 'HEAD' ? 'reads' : 'writes';
  }
}
