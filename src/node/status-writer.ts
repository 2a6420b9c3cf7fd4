import { isDeepStrictEqual } from 'node:util';
import type { Pod, PodStatus } from '../api/generated/types.ts';
import { type ApiClient, ApiError } from '../client/types.ts';
import { backoffDelay, sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';

/** Changes that nobody waits for are gathered for this long. */
const gatherMs = 50;
const backoff = { initial: 100, max: 10_000 };

/** Writes the status of one Pod: the newest one, one request at a time, again until the API server has it. */
export interface StatusWriter {
  /** What others act on (readiness, phase, addresses) is written at once, the rest a moment later. */
  write(status: PodStatus): void;
  /** Resolves when the newest status is written, or will never be. */
  flush(): Promise<void>;
}

/** @param signal ends the tries */
export function createStatusWriter(
  pod: Pod,
  at: { readonly client: ApiClient; readonly log: Logger; readonly signal: AbortSignal },
): StatusWriter {
  let written: PodStatus = pod.status ?? {};
  let wanted: PodStatus | undefined;
  let running: Promise<void> | undefined;
  let hurry = new AbortController();

  const run = async () => {
    for (let attempt = 0; wanted !== undefined && !at.signal.aborted; ) {
      if (!isUrgent(written, wanted)) await sleep(gatherMs, hurry.signal);
      const status: PodStatus = wanted;
      wanted = undefined;
      if (isDeepStrictEqual(status, written)) continue;
      try {
        await patchStatus(at.client, pod, status);
        written = status;
        attempt = 0;
      } catch (err) {
        if (isFinal(err)) {
          at.log.debug({ err, pod: pod.metadata?.name }, 'the status of a Pod was not taken');
          continue;
        }
        at.log.warn({ err, pod: pod.metadata?.name }, 'the status of a Pod could not be written');
        wanted ??= status;
        await sleep(backoffDelay(attempt++, backoff), at.signal);
      }
    }
    running = undefined;
  };

  return {
    write: (status) => {
      wanted = status;
      if (isUrgent(written, status)) {
        hurry.abort();
        hurry = new AbortController();
      }
      running ??= run();
    },
    flush: () => {
      hurry.abort();
      return running ?? Promise.resolve();
    },
  };
}

/** Whether a change is one that others act on. */
function isUrgent(before: PodStatus, after: PodStatus): boolean {
  return before.phase !== after.phase || before.podIP !== after.podIP || ready(before) !== ready(after);
}

function ready(status: PodStatus): string | undefined {
  return status.conditions?.find(({ type }) => type === 'Ready')?.status;
}

/** Whether another try would fail the same way. Not so a conflict: it passes, or the Pod and with it this writer goes. */
function isFinal(error: unknown): boolean {
  return error instanceof ApiError && [400, 404, 405, 422].includes(error.code);
}

async function patchStatus(client: ApiClient, pod: Pod, status: PodStatus): Promise<void> {
  const { namespace, name = '', uid } = pod.metadata ?? {};
  // Conditions are merged by type: what an earlier one said beside must be taken back.
  const conditions = status.conditions?.map((condition) => ({ reason: null, message: null, ...condition }));
  const body = { metadata: { uid }, status: { ...status, conditions } };
  await client.patch('pods', { namespace, name, subresource: 'status' }, { type: 'strategic', body });
}
