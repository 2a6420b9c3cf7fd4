import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { isSignalboxError, SignalboxError } from '../errors/error.ts';
import type { ErrorCode } from '../errors/registry.ts';

/**
 * One process takes the place of another without a moment in between: the successor is started beside its predecessor,
 * says when it does the work, then the predecessor ends, then the successor is told and clears up what the other left.
 * Both sides of that talk, over the channel that Node opens to a child (`stdio: 'ipc'`).
 */
type ToStarter =
  | { readonly handover: 'ready' }
  | {
      readonly handover: 'failed';
      readonly error: {
        readonly code: ErrorCode;
        readonly object: string;
        readonly problem: string;
        readonly remedy: string;
      };
    };
interface ToSuccessor {
  readonly handover: 'proceed';
}

/** The successor's side. */
export interface Succession {
  /** Whether there is a predecessor that does the work until `ready`. */
  readonly hasPredecessor: boolean;
  /** Says that the work is done here now; resolves when the predecessor is gone, or nobody is there to say so. */
  ready(): Promise<void>;
}

/** Of a process that was started alone. */
export const noPredecessor: Succession = { hasPredecessor: false, ready: () => Promise.resolve() };

/** Of this process: whoever starts a successor opens a channel to it. */
export function ownSuccession(): Succession {
  return process.connected ? { hasPredecessor: true, ready } : noPredecessor;
}

async function ready(): Promise<void> {
  if (!tellStarter({ handover: 'ready' })) return;
  const stop = new AbortController();
  const { signal } = stop;
  const proceed = Promise.race([once(process, 'message', { signal }), once(process, 'disconnect', { signal })]);
  await proceed.finally(() => stop.abort());
}

/** Tells the starter of this process why it will not be ready. */
export function tellNotReady(error: unknown): void {
  if (!isSignalboxError(error)) return;
  const { code, object, problem, remedy } = error;
  tellStarter({ handover: 'failed', error: { code, object, problem, remedy } });
}

function tellStarter(message: ToStarter): boolean {
  if (!process.connected || process.send === undefined) return false;
  process.send(message, () => {});
  return true;
}

/**
 * The starter's side: resolves when the child is ready.
 * @throws SignalboxError what the child says of itself, or `COMPONENT_NOT_READY` when it ends or takes longer
 */
export async function untilReady(
  child: ChildProcess,
  { name, timeoutMs }: { readonly name: string; readonly timeoutMs: number },
): Promise<void> {
  const stop = new AbortController();
  const { signal } = stop;
  const timeout = setTimeout(() => stop.abort(), timeoutMs);
  const notReady = (problem: string) =>
    new SignalboxError('COMPONENT_NOT_READY', { object: name, problem, remedy: 'see the end of its log' });
  try {
    await Promise.race([
      once(child, 'message', { signal }).then(([message]: ToStarter[]) => {
        if (message?.handover === 'failed') throw new SignalboxError(message.error.code, message.error);
      }),
      once(child, 'exit', { signal }).then(([code, by]: unknown[]) => {
        throw notReady(`ended at start (${by ?? `exit status ${code}`})`);
      }),
    ]);
  } catch (error) {
    throw error instanceof Error && error.name === 'AbortError'
      ? notReady(`has not taken over after ${timeoutMs / 1000} s`)
      : error;
  } finally {
    clearTimeout(timeout);
    stop.abort();
  }
}

/** The starter's side: tells the child that its predecessor is gone, and hangs up. */
export function proceed(child: ChildProcess): void {
  if (!child.connected) return;
  const message: ToSuccessor = { handover: 'proceed' };
  child.send(message, () => child.connected && child.disconnect());
}
