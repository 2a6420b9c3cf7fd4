import type { CacheBounds, CacheSettings } from '../config/types.ts';
import { flag, rcode } from '../wire/constants.ts';
import { isWithin, type Name } from '../wire/name.ts';
import { negativeTtl, type PlacedRecord, type Response } from '../wire/response.ts';
import type { CacheKind, CacheMetrics } from './forward-metrics.ts';
import { type Question, questionKey } from './question.ts';

/** How a cache is made. */
export interface CacheOptions {
  readonly settings: CacheSettings;
  /** Octets of memory that answers take, all together. */
  readonly bytes: number;
  readonly metrics: CacheMetrics;
}

interface Entry {
  readonly response: Response;
  readonly kind: CacheKind;
  /** Milliseconds, by the clock given. */
  readonly stored: number;
  /** In seconds. */
  readonly life: number;
  /** How often it was asked for without a long gap, and when last. */
  uses: number;
  used: number;
}

/** An answer from the cache. */
export interface CachedAnswer {
  readonly response: Response;
  /** The life to give its records, in seconds; `undefined` for what they say. */
  readonly ttl: number | undefined;
  /** Whether its life is over: it is for when nothing newer can be had. */
  readonly isStale: boolean;
  /** Whether it is asked for so often that it should be asked anew before its life is over. */
  readonly isWanted: boolean;
}

/**
 * Answers of other servers for as long as they said, within bounds (RFC 2308, RFC 8767); of each kind the least lately
 * used go first. Its figures are CoreDNS': all records of an answer live as long as the one that lives shortest.
 */
export class AnswerCache {
  readonly #options: CacheOptions;
  readonly #now: () => number;
  readonly #stores: { readonly [K in CacheKind]: Store };
  readonly #staleMs: number;

  /** `now` in milliseconds; it never goes back. */
  constructor(options: CacheOptions, now: () => number = () => performance.now()) {
    const { settings, bytes, metrics } = options;
    this.#options = options;
    this.#now = now;
    this.#staleMs = settings.serveStale?.durationMs ?? 0;
    const store = (kind: CacheKind) =>
      new Store(kind, { capacity: settings[kind].capacity, bytes: bytes / 2, metrics });
    this.#stores = { success: store('success'), denial: store('denial') };
  }

  get settings(): CacheSettings {
    return this.#options.settings;
  }

  get metrics(): CacheMetrics {
    return this.#options.metrics;
  }

  get size(): number {
    return this.#stores.success.size + this.#stores.denial.size;
  }

  get bytes(): number {
    return this.#stores.success.bytes + this.#stores.denial.bytes;
  }

  /** Whether answers to a name are looked for here at all. */
  covers(name: Name): boolean {
    return isIn(name, this.settings.zones);
  }

  /** The answer that is kept, and counts the look. */
  find(question: Question): CachedAnswer | undefined {
    const key = questionKey(question);
    const now = this.#now();
    const entry = this.#entry(key, now);
    this.metrics.countLook(entry?.kind);
    if (entry === undefined) return undefined;
    this.#stores[entry.kind].touch(key, entry);
    const left = entry.life - Math.floor((now - entry.stored) / 1000);
    const isStale = now >= entry.stored + entry.life * 1000;
    const ttl = isStale ? 0 : this.settings.keepTtl ? undefined : left;
    return { response: entry.response, ttl, isStale, isWanted: this.#countUse(entry, now) };
  }

  /** Keeps an answer, if it may be kept, and returns the life to give its records; `undefined` for what they say. */
  keep(question: Question, response: Response): number | undefined {
    const key = questionKey(question);
    const now = this.#now();
    const found = this.#life(question.name, response);
    if (found === undefined || found.life <= 0) return undefined;
    const previous = this.#entry(key, now);
    // What held before is better than a failure.
    if (isFailure(response) && previous !== undefined && !isFailure(previous.response)) return undefined;
    const { kind, life } = found;
    this.#stores[kind === 'success' ? 'denial' : 'success'].drop(key);
    const uses = previous?.uses ?? 0;
    this.#stores[kind].set(key, { response, kind, life, stored: now, uses, used: previous?.used ?? now });
    return this.settings.keepTtl || isFailure(response) ? undefined : Math.floor(life);
  }

  /** Lets go of all. */
  clear(): void {
    this.#stores.success.clear();
    this.#stores.denial.clear();
  }

  /** What is kept and may still be given. */
  #entry(key: string, now: number): Entry | undefined {
    for (const store of [this.#stores.denial, this.#stores.success]) {
      const entry = store.get(key);
      if (entry === undefined) continue;
      const staleMs = isFailure(entry.response) ? 0 : this.#staleMs;
      if (now < entry.stored + entry.life * 1000 + staleMs) return entry;
      store.drop(key);
    }
    return undefined;
  }

  #countUse(entry: Entry, now: number): boolean {
    const { prefetch } = this.settings;
    if (prefetch === undefined) return false;
    entry.uses = now - entry.used > prefetch.durationMs ? 1 : entry.uses + 1;
    entry.used = now;
    const left = entry.life - (now - entry.stored) / 1000;
    return entry.uses >= prefetch.amount && left <= Math.ceil((entry.life * prefetch.percentage) / 100);
  }

  /** What an answer is, and for how many seconds it holds; `undefined` when it may not be kept. */
  #life(name: Name, response: Response): { readonly kind: CacheKind; readonly life: number } | undefined {
    if ((response.flags & flag.TC) !== 0) return undefined;
    const { disableSuccess, disableDenial, success, denial, servfailMs } = this.settings;
    if (isFailure(response)) return isIn(name, disableDenial) ? undefined : { kind: 'denial', life: servfailMs / 1000 };
    const kind = kindOf(response);
    if (kind === undefined || isIn(name, kind === 'success' ? disableSuccess : disableDenial)) return undefined;
    const said = shortestTtl(response, kind);
    return said === undefined ? undefined : { kind, life: within(said, kind === 'success' ? success : denial) };
  }
}

/** What a store is bound by, and where it is counted. */
interface StoreOptions {
  readonly capacity: number;
  readonly bytes: number;
  readonly metrics: CacheMetrics;
}

/** Entries of one kind in the order of their last use. */
class Store {
  readonly #kind: CacheKind;
  readonly #options: StoreOptions;
  readonly #entries = new Map<string, Entry>();
  #bytes = 0;

  constructor(kind: CacheKind, options: StoreOptions) {
    this.#kind = kind;
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(key: string): Entry | undefined {
    return this.#entries.get(key);
  }

  /** Puts an entry at the end: the order of a map is that of use. */
  touch(key: string, entry: Entry): void {
    this.#entries.delete(key);
    this.#entries.set(key, entry);
  }

  set(key: string, entry: Entry): void {
    const { capacity, bytes, metrics } = this.#options;
    this.drop(key);
    // One answer must not push out a large part of the others.
    if (octetsOf(entry) > bytes / 8) return;
    this.#entries.set(key, entry);
    this.#bytes += octetsOf(entry);
    metrics.addEntries(this.#kind, 1);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= capacity && this.#bytes <= bytes) break;
      this.drop(oldest);
      metrics.countEviction(this.#kind);
    }
  }

  drop(key: string): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    this.#entries.delete(key);
    this.#bytes -= octetsOf(entry);
    this.#options.metrics.addEntries(this.#kind, -1);
  }

  clear(): void {
    for (const key of [...this.#entries.keys()]) this.drop(key);
  }
}

/** Measured; what is noted of a record is many times as large as the record. */
const octetsOfRecord = 130;

/** The memory that an answer takes, as it was read. */
function octetsOf({ response: { message, answer, authority, additional } }: Entry): number {
  return message.length + octetsOfRecord * (answer.length + authority.length + additional.length);
}

function isIn(name: Name, zones: readonly Name[]): boolean {
  return zones.some((zone) => isWithin(name, zone));
}

/** Whether it says nothing of the name, but that the server could not answer: kept for a moment, so as not to press it. */
function isFailure(response: Response): boolean {
  return response.rcode === rcode.SERVFAIL || response.rcode === rcode.NOTIMP;
}

/** `undefined` for what is neither an answer nor a denial that says how long it holds (RFC 2308 §5). */
function kindOf(response: Response): CacheKind | undefined {
  if (response.rcode === rcode.NXDOMAIN) return 'denial';
  if (response.rcode !== rcode.NOERROR) return undefined;
  return response.answer.length > 0 ? 'success' : 'denial';
}

/** The shortest life among an answer's records, in seconds. A denial, and an alias to one, holds as its SOA says. */
function shortestTtl(response: Response, kind: CacheKind): number | undefined {
  const negative = negativeTtl(response);
  if (kind === 'denial' && negative === undefined) return undefined;
  const { answer, authority, additional } = response;
  const all = [...answer, ...authority, ...additional].map(ttlOf);
  return Math.min(...all, negative ?? Number.POSITIVE_INFINITY);
}

/** RFC 2181 §8: a time with the highest bit set is none. */
function ttlOf({ ttl }: PlacedRecord): number {
  return ttl > 0x7fff_ffff ? 0 : ttl;
}

function within(seconds: number, { minTtl, maxTtl }: CacheBounds): number {
  return Math.min(Math.max(seconds, minTtl), maxTtl);
}
