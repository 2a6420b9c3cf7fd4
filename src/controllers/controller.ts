import type { KubernetesObject, Stored } from '../api/object.ts';
import { createEventRecorder, type EventRecorder } from '../client/events.ts';
import { type ApiClient, ApiError } from '../client/types.ts';
import { createWorkQueue, type WorkQueue } from '../client/workqueue.ts';
import type { BackoffOptions } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import type { Caches } from './caches.ts';
import { OwnWrites } from './own-writes.ts';
import { send, type Write } from './write.ts';

/** What all controllers are made from. */
export interface ControllerContext {
  readonly client: ApiClient;
  readonly caches: Caches;
  readonly log: Logger;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Brings one kind of thing, key by key, to where it should be. */
export interface Controller {
  readonly name: string;
  /** Who the controller's events are said to be from: `kubectl describe` shows Kubernetes' own names. */
  readonly reporter?: string;
  /** Keys at work at the same time. */
  readonly concurrency: number;
  /** For keys that change in bursts; see `WorkQueueOptions`. */
  readonly coalesce?: BackoffOptions;
  /** Registers what in the caches makes which keys worth another look. Called once, before the first `reconcile`. */
  watch(enqueue: (key: string) => void): void;
  /**
   * Looks at the key in the caches and does what is missing. Called when the caches show all that earlier rounds of this
   * key wrote; again after a failure.
   */
  reconcile(key: string, round: Round): Promise<void>;
}

/** One call of `reconcile`. */
export interface Round {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /**
   * Sends the writes: one, then two, then four at a time, so that what fails for all fails once. Stops at the first
   * failed batch and rejects with its first failure. `done` is told of each that succeeded.
   */
  apply(
    writes: readonly Write[],
    done?: (write: Write, stored: Stored<KubernetesObject> | undefined) => void,
  ): Promise<void>;
  /** Another look after this time at the latest. */
  requeueAfter(ms: number): void;
  record: EventRecorder['record'];
}

/** A controller at work. */
export interface RunningController {
  readonly name: string;
  readonly queue: WorkQueue;
  /** Lets what is under way end, its events included. */
  stop(): Promise<void>;
}

const backoff: BackoffOptions = { initial: 5, max: 30_000 };
/** How soon to look whether the caches have caught up: the events themselves mostly come first. */
const catchUpMs = 10;
const maxBatch = 32;

/** Starts a controller. Nothing is reconciled before `ready`. */
export function startController(
  controller: Controller,
  context: ControllerContext,
  ready: Promise<void>,
): RunningController {
  const ownWrites = new OwnWrites(context.caches, context.now);
  const log = context.log.child({ controller: controller.name });
  const component = controller.reporter ?? `${controller.name}-controller`;
  const events = createEventRecorder(context.client, { component, log });
  const queue = createWorkQueue({
    concurrency: controller.concurrency,
    backoff,
    ...(controller.coalesce === undefined ? {} : { coalesce: controller.coalesce }),
    work: async (key) => {
      await ready;
      if (!ownWrites.allSeen(key)) {
        queue.addAfter(key, catchUpMs);
        return 'idle';
      }
      let wrote = false;
      await controller.reconcile(key, {
        now: context.now(),
        apply: (writes, done) =>
          applyWrites(context.client, writes, (write, stored) => {
            wrote = true;
            ownWrites.note(key, write, stored);
            done?.(write, stored);
          }),
        requeueAfter: (ms) => queue.addAfter(key, ms),
        record: (about, event) => events.record(about, event),
      });
      return wrote ? undefined : 'idle';
    },
    onError: (key, error, failures) => {
      // Conflicts are the ordinary way to learn that the caches were old; what lasts is told once.
      const level = failures === 4 && !isConflict(error) ? 'warn' : 'debug';
      log[level]({ key, failures, err: error }, 'could not reconcile');
    },
  });
  controller.watch((key) => queue.add(key));
  const stop = async () => {
    await queue.stop();
    await events.flush();
  };
  return { name: controller.name, queue, stop };
}

async function applyWrites(
  client: ApiClient,
  writes: readonly Write[],
  done: (write: Write, stored: Stored<KubernetesObject> | undefined) => void,
): Promise<void> {
  for (let start = 0, size = 1; start < writes.length; start += size, size = Math.min(maxBatch, size * 2)) {
    const batch = writes.slice(start, start + size).map(async (write) => done(write, await send(client, write)));
    const failed = (await Promise.allSettled(batch)).find((result) => result.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

function isConflict(error: unknown): boolean {
  return error instanceof ApiError && error.reason === 'Conflict';
}
