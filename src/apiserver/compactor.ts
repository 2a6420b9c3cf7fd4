import { CompactedError, type Store } from '../store/store.ts';

const checkEveryMs = 30_000;
const keepMs = 5 * 60_000;
const maxRevisions = 50_000;

/** Lets the store forget what is older than 5 minutes, or 50,000 revisions. Returns the end of it. */
export function startCompactor(store: Store, onError: (error: unknown) => void): () => void {
  /** Revisions by when they were seen, oldest first. */
  const seen: { readonly at: number; readonly revision: number }[] = [];
  const check = async () => {
    const now = Date.now();
    const revision = await store.revision();
    let target = revision - maxRevisions;
    while (seen[0] !== undefined && seen[0].at <= now - keepMs) target = Math.max(target, seen.shift()?.revision ?? 0);
    seen.push({ at: now, revision });
    if (target <= (await store.compactedRevision())) return;
    await store.compact(target).catch((error: unknown) => {
      // Another server of the same store was faster.
      if (!(error instanceof CompactedError)) throw error;
    });
  };
  let running = false;
  const timer = setInterval(() => {
    if (running) return;
    running = true;
    check()
      .catch(onError)
      .finally(() => {
        running = false;
      });
  }, checkEveryMs);
  timer.unref();
  return () => clearInterval(timer);
}
