import { isMainThread } from 'node:worker_threads';
import { SignalboxError } from '../errors/error.ts';
import { fcntl } from './ffi.ts';

// include/uapi/asm-generic/fcntl.h
const F_SETFL = 4;
const F_SETOWN = 8;
const O_ASYNC = 0o20000;

const drains = new Set<() => void>();
let signalHandled = false;

/**
 * Calls `drain` whenever something has come to a socket, and once more than needed now and then: it takes what there is
 * without waiting, and must not throw. Gives what ends that, to be called before the socket is closed. Does not keep the
 * process alive.
 *
 * libuv has no way to wait for sockets of these families that Node would let us reach, a thread of its pool must not be
 * held for good, and polling costs wake-ups for nothing. So the kernel is asked to send SIGIO when something arrives,
 * which Node delivers as an event. The signal is this module's alone.
 * @throws KernelError; SignalboxError `NOT_MAIN_THREAD`, where Node delivers no signals
 */
export function watchReadable(fd: number, what: string, drain: () => void): () => void {
  if (!isMainThread) {
    throw new SignalboxError('NOT_MAIN_THREAD', {
      object: `watch of ${what}`,
      problem: 'was asked for by a worker thread',
      remedy: 'do it on the main thread',
    });
  }
  // Before the descriptor may raise the signal: without a handler it would end the process.
  if (!signalHandled) process.on('SIGIO', drainAll);
  signalHandled = true;
  drains.add(drain);
  const stop = () => {
    // A signal on its way would still end the process: one turn of the loop later there is none.
    if (drains.delete(drain)) setImmediate(stopHandlingSignal);
  };
  try {
    fcntl(fd, F_SETOWN, process.pid);
    fcntl(fd, F_SETFL, O_ASYNC);
  } catch (error) {
    stop();
    throw error;
  }
  return stop;
}

function drainAll(): void {
  for (const drain of [...drains]) if (drains.has(drain)) drain();
}

function stopHandlingSignal(): void {
  if (drains.size > 0) return;
  process.off('SIGIO', drainAll);
  signalHandled = false;
}
