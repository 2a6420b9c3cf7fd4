import { isMainThread } from 'node:worker_threads';
import { SignalboxError } from '../errors/error.ts';
import { pollReadiness, type Readiness, type ReadinessPoll } from './ffi.ts';

/** A socket that is watched. */
export interface SocketWatch {
  /** Calls back once, when the socket takes more to send. */
  awaitRoom(onRoom: () => void): void;
  /** To be called before the socket is closed. */
  close(): void;
}

/**
 * Calls `drain` when something has come to a socket, and again as long as it leaves something there: it takes what there
 * is without waiting, an error of the socket too. It need not take all; others get their turn before it is called again.
 * Does not keep the process alive.
 *
 * Sockets of Node's own read by themselves. This is libuv's way to be told and no more, which Node does not hand out:
 * docs/decisions/0001.
 * @throws SignalboxError `NOT_MAIN_THREAD`: a thread may be ended without any notice, and then all of the process would be
 */
export function watchReadable(fd: number, drain: () => void): SocketWatch {
  if (!isMainThread) {
    throw new SignalboxError('NOT_MAIN_THREAD', {
      object: 'watch of a socket',
      problem: 'was asked for by a worker thread',
      remedy: 'do it on the main thread',
    });
  }
  return new Watch(fd, drain);
}

/** Those that are open. What comes while Node takes itself down would find no JavaScript to call, which ends in an abort. */
const watches = new Set<Watch>();

function closeAll(): void {
  for (const watch of watches) watch.close();
}

class Watch implements SocketWatch {
  readonly #poll: ReadinessPoll;
  readonly #drain: () => void;
  #onRoom: (() => void) | undefined;
  #isClosed = false;

  constructor(fd: number, drain: () => void) {
    this.#drain = drain;
    // What is thrown, or promised, in a callback of libuv's would get lost: it is left to a turn of Node's, the next.
    this.#poll = pollReadiness(fd, (ready) => setImmediate(() => this.#take(ready)));
    this.#poll.unref();
    if (watches.size === 0) process.once('exit', closeAll);
    watches.add(this);
  }

  awaitRoom(onRoom: () => void): void {
    if (this.#isClosed) return;
    this.#onRoom = onRoom;
    this.#start();
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#poll.close();
    watches.delete(this);
    if (watches.size === 0) process.off('exit', closeAll);
  }

  #start(): void {
    this.#poll.start({ readable: true, writable: this.#onRoom !== undefined });
  }

  #take({ readable, writable }: Readiness): void {
    if (this.#isClosed) return;
    const hasFailed = !readable && !writable;
    const onRoom = writable ? this.#onRoom : undefined;
    if (onRoom !== undefined) {
      this.#onRoom = undefined;
      onRoom();
    }
    if (!this.#isClosed && (readable || hasFailed)) this.#drain();
    // After an error libuv waits for nothing any more; and with room there, it is not to be told again and again.
    if (!this.#isClosed && (writable || hasFailed)) this.#start();
  }
}
