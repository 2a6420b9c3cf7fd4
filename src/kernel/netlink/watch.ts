import { close, errnoNumber, KernelError, setSocketOption } from '../ffi.ts';
import { type SocketWatch, watchReadable } from '../readable.ts';
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

// include/uapi/linux/netlink.h
const SOL_NETLINK = 270;
const NETLINK_ADD_MEMBERSHIP = 1;

/** Datagrams taken in one turn of the event loop. */
const turnLimit = 256;

/**
 * Hears the kernel's notifications about the network namespace the calling thread is in at this moment. Does not keep
 * the process alive.
 * @throws KernelError; SignalboxError `NOT_MAIN_THREAD`
 */
export function watchNetlink(
  protocol: NetlinkProtocol,
  groups: readonly number[],
  listener: NetlinkListener,
): NetlinkWatch {
  const fd = openSocket(protocol);
  let watch: Watch;
  try {
    watch = new Watch(fd, listener);
  } catch (error) {
    close(fd);
    throw error;
  }
  try {
    for (const group of groups) setSocketOption(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, group);
  } catch (error) {
    watch.close();
    throw error;
  }
  return watch;
}

class Watch implements NetlinkWatch {
  readonly #fd: number;
  readonly #listener: NetlinkListener;
  readonly #watch: SocketWatch;
  #closed = false;

  constructor(fd: number, listener: NetlinkListener) {
    this.#fd = fd;
    this.#listener = listener;
    this.#watch = watchReadable(fd, () => this.#drain());
  }

  /** Takes what has come. The rest of a long queue is left to further turns, so that it does not hold up everything else. */
  #drain(): void {
    for (let taken = 0; taken < turnLimit; taken++) {
      // The listener may have closed the watch, and its descriptor may be another's by now.
      if (this.#closed) return;
      const length = receive(this.#fd, { wait: false });
      if (length === -errnoNumber.EAGAIN) return;
      this.#tell(length);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch.close();
    close(this.#fd);
  }

  #tell(length: number): void {
    if (length === -errnoNumber.ENOBUFS || length > receiveCapacity) this.#listener.overrun();
    else if (length >= 0) {
      const messages = Array.from(messagesIn(length), replyOf);
      for (const message of messages) if (message.type !== NLMSG_NOOP) this.#listener.message(message);
    } else if (length !== -errnoNumber.EINTR) throw new KernelError('receive netlink notifications', -length);
  }
}
