import type { CoreEvent } from '../api/generated/types.ts';
import type { Registry } from './registry.ts';
import { StatusError } from './status.ts';

const checkEveryMs = 60_000;
/** As kube-apiserver's `--event-ttl`. */
const keepMs = 60 * 60_000;

/** Removes Events an hour after they were last seen, so that they do not fill the store. Returns the end of it. */
export function startEventExpiry(events: Registry, onError: (error: unknown) => void): () => void {
  const timer = setInterval(() => {
    expireEvents(events, Date.now()).catch(onError);
  }, checkEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Removes the Events that were last seen more than an hour before `now`. */
export async function expireEvents(events: Registry, now: number): Promise<void> {
  for (const { object } of events.cache.list()) {
    const { metadata, series, lastTimestamp, eventTime }: CoreEvent = { involvedObject: {}, ...object };
    const seen = series?.lastObservedTime ?? lastTimestamp ?? eventTime ?? metadata.creationTimestamp ?? '';
    if (!(Date.parse(seen) < now - keepMs)) continue;
    await events.delete({ namespace: metadata.namespace, name: metadata.name ?? '' }, {}).catch((error: unknown) => {
      // Someone else removed it, or it was seen again.
      if (!(error instanceof StatusError) || error.status.code >= 500) throw error;
    });
  }
}
