import { isMainThread } from 'node:worker_threads';
import { SignalboxError } from '../../errors/error.ts';
import { close, errnoNumber, fcntl, KernelError, setSocketOption } from '../ffi.ts';
import { type NetlinkReply, NLMSG_NOOP } from './message.ts';
import { messagesIn, receive, receiveCapacity, replyOf } from './receive.ts';
import { type NetlinkProtocol, openSocket } from './socket.ts';

/** Groups of notifications of the `route` protocol: include/uapi/linux/rtnetlink.h. */
export const routeGroup = { link: 1, ipv4Address: 5, ipv4Route: 7, ipv6Address: 9, ipv6Route: 11 } as const;

/** What to do with notifications. Neither function may throw. */
export interface NetlinkListener {
  message(message: NetlinkReply): void;
  /** Notifications were lost: more came than the socket holds. List the objects anew. */
  overrun(): void;
}

/** A running subscription. */
export interface NetlinkWatch {
  close(): void;
}

// include/uapi/linux/netlink.h, asm-generic/fcntl.h
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;
const F_SETFL = 4;
const F_SETOWN = 8;
const O_ASYNC = 0o20000;

/** Datagrams taken in one turn of the event loop. */
const turnLimit = 256;

const watches = new Set<Watch>();
let signalHandled = false;

/**
 * Hears the kernel's notifications about the network namespace the calling thread is in at this moment. Does not keep
 * the process alive.
 *
 * libuv has no way to wait for a netlink socket, a thread of its pool must not be held for good, and polling costs
 * wake-ups for nothing. So the kernel is asked to send SIGIO when a notification arrives, which Node delivers as an
 * event.
 * @throws KernelError; SignalboxError `NOT_MAIN_THREAD`, where Node delivers no signals
 */
export function watchNetlink(
  protocol: NetlinkProtocol,
  groups: readonly number[],
  listener: NetlinkListener,
): NetlinkWatch {
  if (!isMainThread) {
    throw new SignalboxError('NOT_MAIN_THREAD', {
      object: `watch of ${protocol} netlink`,
      problem: 'was asked for by a worker thread',
      remedy: 'do it on the main thread',
    });
  }
  const fd = openSocket(protocol);
  const watch = new Watch(fd, listener);
  // Before the descriptor may raise the signal: without a handler it would end the process.
  if (!signalHandled) process.on('SIGIO', drainAll);
  signalHandled = true;
  watches.add(watch);
  try {
    fcntl(fd, F_SETOWN, process.pid);
    fcntl(fd, F_SETFL, O_ASYNC);
    for (const group of groups) setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  } catch (error) {
    watch.close();
    throw error;
  }
  return watch;
}

function drainAll(): void {
  for (const watch of watches) watch.drain();
}

function stopHandlingSignal(): void {
  if (watches.size > 0) return;
  process.off('SIGIO', drainAll);
  signalHandled = false;
}

class Watch implements NetlinkWatch {
  readonly #fd: number;
  readonly #listener: NetlinkListener;

  constructor(fd: number, listener: NetlinkListener) {
    this.#fd = fd;
    this.#listener = listener;
  }

  /** Takes what has come. A long queue is left to further turns, so that it does not hold up everything else. */
  drain(): void {
    for (let taken = 0; taken < turnLimit; taken++) {
      // The listener may have closed the watch, and its descriptor may be another's by now.
      if (!watches.has(this)) return;
      const length = receive(this.#fd, { wait: false });
      if (length === -errnoNumber.EAGAIN) return;
      this.#tell(length);
    }
    setImmediate(() => this.drain());
  }

  close(): void {
    if (!watches.delete(this)) return;
    close(this.#fd);
    // A signal on its way would still end the process: one turn of the loop later there is none.
    setImmediate(stopHandlingSignal);
  }

  #tell(length: number): void {
    if (length === -errnoNumber.ENOBUFS || length > receiveCapacity) this.#listener.overrun();
    else if (length >= 0) {
      const messages = Array.from(messagesIn(length), replyOf);
      for (const message of messages) if (message.type !== NLMSG_NOOP) this.#listener.message(message);
    } else if (length !== -errnoNumber.EINTR) throw new KernelError('receive netlink notifications', -length);
  }
}
