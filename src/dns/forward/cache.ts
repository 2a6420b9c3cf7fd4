import { flag, rcode, recordType } from '../wire/constants.ts';
import { negativeTtl, type PlacedRecord, type Response } from '../wire/response.ts';

/** Bounds of a cache. */
export interface CacheOptions {
  readonly entries: number;
  /** Octets of messages, all together. */
  readonly bytes: number;
  /** An answer is kept no longer than this, whatever it says, in seconds. */
  readonly maxTtl: number;
}

interface Entry {
  readonly response: Response;
  /** Milliseconds, by the clock given. */
  readonly stored: number;
  readonly expires: number;
}

/** An answer from the cache, and since when it is there, in whole seconds. */
export interface CachedAnswer {
  readonly response: Response;
  readonly age: number;
}

/** Answers of other servers for as long as they said, within bounds; the least lately used go first. */
export class AnswerCache {
  readonly #options: CacheOptions;
  readonly #now: () => number;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  /** `now` in milliseconds; it never goes back. */
  constructor(options: CacheOptions, now: () => number = () => performance.now()) {
    this.#options = options;
    this.#now = now;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): CachedAnswer | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    this.#drop(key, entry);
    const now = this.#now();
    if (now >= entry.expires) return undefined;
    // Put in again at the end: the order of a map is that of use.
    this.#entries.set(key, entry);
    this.#bytes += entry.response.message.length;
    return { response: entry.response, age: Math.floor((now - entry.stored) / 1000) };
  }

  /** Keeps an answer, if it may be kept. */
  set(key: string, response: Response): void {
    const seconds = Math.min(lifetime(response), this.#options.maxTtl);
    if (seconds <= 0 || response.message.length > this.#options.bytes / 16) return;
    const previous = this.#entries.get(key);
    if (previous !== undefined) this.#drop(key, previous);
    const stored = this.#now();
    this.#entries.set(key, { response, stored, expires: stored + seconds * 1000 });
    this.#bytes += response.message.length;
    for (const [oldest, entry] of this.#entries) {
      if (this.#entries.size <= this.#options.entries && this.#bytes <= this.#options.bytes) break;
      this.#drop(oldest, entry);
    }
  }

  #drop(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#bytes -= entry.response.message.length;
  }
}

/** For how many seconds an answer holds; 0 when it says nothing that may be kept (RFC 2181 §8, RFC 2308 §5). */
function lifetime(response: Response): number {
  const { answer, question } = response;
  if ((response.flags & flag.TC) !== 0) return 0;
  if (response.rcode !== rcode.NOERROR && response.rcode !== rcode.NXDOMAIN) return 0;
  const isDenial = response.rcode === rcode.NXDOMAIN || !answer.some((record) => record.type === question.type);
  // An alias alone is an answer to the question for it, and a denial of what it leads to.
  const denial = isDenial && question.type !== recordType.ANY ? (negativeTtl(response) ?? 0) : Number.POSITIVE_INFINITY;
  const seconds = Math.min(denial, ...answer.map(ttlOf));
  return Number.isFinite(seconds) ? seconds : 0;
}

/** RFC 2181 §8: a time with the highest bit set is none. */
function ttlOf({ ttl }: PlacedRecord): number {
  return ttl > 0x7fff_ffff ? 0 : ttl;
}
