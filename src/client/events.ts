import type { CoreEvent } from '../api/generated/types.ts';
import { type KubernetesObject, objectKey } from '../api/object.ts';
import type { Logger } from '../component/log.ts';
import { type ApiClient, ApiError } from './types.ts';

/** Writes events about objects: what `kubectl describe` and `kubectl get events` show. */
export interface EventRecorder {
  /** Returns at once; the event is written in the background and dropped when that fails or when there are too many. */
  record(about: KubernetesObject, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void;
  /** Resolves when all events recorded so far are written or dropped. */
  flush(): Promise<void>;
}

/** Who reports, and how much at most. */
export interface EventRecorderOptions {
  /** Name of the component, as in `source.component`. */
  readonly component: string;
  /** Node the component runs on, where it runs on one. */
  readonly host?: string;
  readonly log?: Logger;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** An event as it was written last, so that its repetition only counts up. */
interface Written {
  readonly namespace: string;
  readonly name: string;
  count: number;
}

/** Per object: this many events at once, then one every five minutes. As client-go's recorder. */
const burst = 25;
const refillMs = 300_000;
/** Different messages of one reason about one object, within ten minutes, before they are told as one. */
const maxSimilar = 10;
const similarMs = 600_000;
/** Objects and messages remembered. */
const maxRemembered = 4096;
/** Events waiting to be written. */
const maxWaiting = 1000;

/** A recorder; events that repeat are counted up in one object, in the manner of Kubernetes' own components. */
export function createEventRecorder(client: ApiClient, options: EventRecorderOptions): EventRecorder {
  return new ApiEventRecorder(client, options);
}

class ApiEventRecorder implements EventRecorder {
  readonly #client: ApiClient;
  readonly #options: EventRecorderOptions;
  readonly #written = new Map<string, Written>();
  readonly #allowances = new Map<string, { tokens: number; at: number }>();
  readonly #similar = new Map<string, { readonly messages: Set<string>; readonly since: number }>();
  #waiting = 0;
  #last: Promise<void> = Promise.resolve();

  constructor(client: ApiClient, options: EventRecorderOptions) {
    this.#client = client;
    this.#options = options;
  }

  record(about: KubernetesObject, event: { type: 'Normal' | 'Warning'; reason: string; message: string }): void {
    const now = this.#options.now?.() ?? Date.now();
    const of = about.metadata?.uid ?? objectKey(about);
    if (this.#waiting >= maxWaiting || !this.#allowed(of, now)) return;
    const kind = `${of} ${event.type} ${event.reason}`;
    const isCombined = this.#isCombined(kind, event.message, now);
    const message = isCombined ? `(combined from similar events): ${event.message}` : event.message;
    const key = isCombined ? kind : `${kind} ${message}`;
    this.#waiting++;
    // One after the other: the second of two equal events has to find the first.
    this.#last = this.#last
      .then(() => this.#write(key, newEvent(about, { ...event, message }, { ...this.#options, now })))
      .catch((error: unknown) => this.#options.log?.debug({ err: error, key }, 'an event could not be written'))
      .finally(() => {
        this.#waiting--;
      });
  }

  flush(): Promise<void> {
    return this.#last;
  }

  #allowed(of: string, now: number): boolean {
    const allowance = this.#allowances.get(of) ?? { tokens: burst, at: now };
    const refilled = Math.min(burst, allowance.tokens + (now - allowance.at) / refillMs);
    remember(this.#allowances, of, { tokens: Math.max(0, refilled - 1), at: now });
    return refilled >= 1;
  }

  /** Whether there are so many different messages of this kind that further ones share one event. */
  #isCombined(kind: string, message: string, now: number): boolean {
    const known = this.#similar.get(kind);
    const similar =
      known === undefined || now - known.since > similarMs ? { messages: new Set<string>(), since: now } : known;
    if (similar.messages.size < maxSimilar) similar.messages.add(message);
    remember(this.#similar, kind, similar);
    return !similar.messages.has(message);
  }

  async #write(key: string, event: CoreEvent): Promise<void> {
    const written = this.#written.get(key);
    if (written !== undefined && (await this.#countUp(written, event))) return;
    const created = await this.#client.create('events', event);
    const { name, namespace = 'default' } = created.metadata;
    remember(this.#written, key, { name, namespace, count: 1 });
  }

  /** False when the event is gone: events live for an hour only. */
  async #countUp(written: Written, event: CoreEvent): Promise<boolean> {
    const body = { count: written.count + 1, lastTimestamp: event.lastTimestamp, message: event.message };
    try {
      await this.#client.patch('events', written, { type: 'merge', body });
      written.count++;
      return true;
    } catch (error) {
      if (error instanceof ApiError && error.code === 404) return false;
      throw error;
    }
  }
}

function newEvent(
  about: KubernetesObject,
  { type, reason, message }: { type: string; reason: string; message: string },
  by: { readonly component: string; readonly host?: string; readonly now: number },
): CoreEvent {
  const { name = '', namespace, uid, resourceVersion } = about.metadata ?? {};
  const time = `${new Date(by.now).toISOString().slice(0, 19)}Z`;
  return {
    apiVersion: 'v1',
    kind: 'Event',
    // Events about cluster-scoped objects live in `default`.
    metadata: { namespace: namespace ?? 'default', name: eventName(name, by.now) },
    involvedObject: {
      ...(about.apiVersion === undefined ? {} : { apiVersion: about.apiVersion }),
      ...(about.kind === undefined ? {} : { kind: about.kind }),
      ...(namespace === undefined ? {} : { namespace }),
      name,
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
    },
    type,
    reason,
    message: message.slice(0, 1024),
    source: { component: by.component, ...(by.host === undefined ? {} : { host: by.host }) },
    reportingComponent: by.component,
    reportingInstance: by.host ?? '',
    firstTimestamp: time,
    lastTimestamp: time,
    count: 1,
  };
}

let lastSuffix = 0n;

/** As Kubernetes' components name events: the object's name and a time in nanoseconds, which no two of a process share. */
function eventName(about: string, now: number): string {
  // The clock gives milliseconds: what is below is drawn, so that processes do not meet.
  const drawn = BigInt(now) * 1_000_000n + BigInt(Math.floor(Math.random() * 1_000_000));
  lastSuffix = drawn > lastSuffix ? drawn : lastSuffix + 1n;
  return `${about.slice(0, 200)}.${lastSuffix.toString(16)}`;
}

/** Sets an entry and makes it the youngest; the oldest goes when there are too many. */
function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.delete(key);
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > maxRemembered && oldest !== undefined) map.delete(oldest);
}
