import { etherTypeArp } from '../../net/arp.ts';
import { familyOf, type Ip, ipToBytes } from '../../net/ip.ts';
import { etherTypeIpv6, solicitedNodeGroup } from '../../net/ndp.ts';
import {
  attachFilter,
  bind,
  close,
  errnoNumber,
  isKernelError,
  recv,
  send,
  setSocketOptionBytes,
  socket,
} from '../ffi.ts';
import { littleEndian } from '../netlink/attributes.ts';
import { type SocketWatch, watchReadable } from '../readable.ts';
import { arpFilter, encodeFilter, type FilterInstruction, ndpFilter } from './filter.ts';

/** Whole frames of ARP and neighbour discovery on one device, about chosen addresses. */
export interface LinkSocket {
  /** Which addresses to hear of from now on. Groups of IPv6 in which questions for them are asked are joined. */
  hear(addresses: readonly Ip[]): void;
  /**
   * Sends a frame. One that cannot be sent now (the device is down, its queue is full) is lost, as frames are.
   * @throws KernelError for any other reason
   */
  send(frame: Uint8Array): void;
  /** Takes in what has come, without waiting. It is done anyway when something comes; this is for who wants to be sure. */
  drain(): void;
  close(): void;
}

// include/linux/socket.h, include/uapi/linux/in6.h
const AF_INET6 = 10;
const AF_PACKET = 17;
const SOCK_DGRAM = 2;
const SOCK_RAW = 3;
const IPPROTO_IPV6 = 41;
const IPV6_ADD_MEMBERSHIP = 20;
const IPV6_DROP_MEMBERSHIP = 21;
const MSG_DONTWAIT = 0x40;

/** Frames taken in one turn of the event loop; nothing of ARP or neighbour discovery is longer than 1,500 bytes. */
const turnLimit = 256;
const received = new Uint8Array(2048);

/**
 * Opens sockets on a device of the network namespace the calling thread is in; they stay there. The kernel hands over
 * only frames about addresses that `hear` names, and only those that others send to this station.
 * @throws KernelError `EPERM` without CAP_NET_RAW
 */
export function openLinkSocket(link: number, onFrame: (frame: Uint8Array) => void): LinkSocket {
  return new PacketSockets(link, onFrame);
}

class PacketSockets implements LinkSocket {
  readonly #link: number;
  readonly #onFrame: (frame: Uint8Array) => void;
  readonly #arp: Watched;
  readonly #ndp: Watched;
  /** Only for the groups it is in: nothing is ever sent to it. None where the kernel has no IPv6. */
  readonly #member: number | undefined;
  #groups = new Set<Ip>();
  #closed = false;

  constructor(link: number, onFrame: (frame: Uint8Array) => void) {
    this.#link = link;
    this.#onFrame = onFrame;
    this.#arp = this.#open(etherTypeArp, arpFilter([]));
    try {
      this.#ndp = this.#open(etherTypeIpv6, ndpFilter([]));
    } catch (error) {
      this.#shut(this.#arp);
      throw error;
    }
    this.#member = openMember();
  }

  hear(addresses: readonly Ip[]): void {
    attachFilter(this.#arp.fd, encodeFilter(arpFilter(addresses)));
    attachFilter(this.#ndp.fd, encodeFilter(ndpFilter(addresses)));
    const groups = new Set(addresses.filter((ip) => familyOf(ip) === 'IPv6').map(solicitedNodeGroup));
    for (const group of this.#groups) if (!groups.has(group)) this.#membership(IPV6_DROP_MEMBERSHIP, group);
    for (const group of groups) if (!this.#groups.has(group)) this.#membership(IPV6_ADD_MEMBERSHIP, group);
    this.#groups = groups;
  }

  send(frame: Uint8Array): void {
    try {
      send(this.#arp.fd, frame, MSG_DONTWAIT);
    } catch (error) {
      if (!isKernelError(error, 'ENETDOWN', 'ENXIO', 'ENODEV', 'ENOBUFS', 'EAGAIN')) throw error;
    }
  }

  drain(): void {
    for (const { fd } of [this.#arp, this.#ndp]) this.#drain(fd);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#shut(this.#arp);
    this.#shut(this.#ndp);
    if (this.#member !== undefined) close(this.#member);
  }

  /** The filter is there before the first frame can come. */
  #open(protocol: number, filter: readonly FilterInstruction[]): Watched {
    const fd = socket(AF_PACKET, SOCK_RAW, 0);
    try {
      attachFilter(fd, encodeFilter(filter));
      bind(fd, sockaddrLl(protocol, this.#link));
      return { fd, watch: watchReadable(fd, () => this.#drain(fd)) };
    } catch (error) {
      close(fd);
      throw error;
    }
  }

  #drain(fd: number): void {
    for (let taken = 0; taken < turnLimit; taken++) {
      // What a frame leads to may be that this is closed.
      if (this.#closed) return;
      const length = recv(fd, received, MSG_DONTWAIT);
      if (length === -errnoNumber.EINTR) continue;
      // Nothing there; or the device is down or gone, which the links themselves tell.
      if (length < 0) return;
      this.#onFrame(received.subarray(0, length));
    }
  }

  #shut({ fd, watch }: Watched): void {
    watch.close();
    close(fd);
  }

  #membership(option: number, group: Ip): void {
    if (this.#member === undefined) return;
    const request = new Uint8Array(20);
    request.set(ipToBytes(group));
    new DataView(request.buffer).setInt32(16, this.#link, littleEndian);
    try {
      setSocketOptionBytes(this.#member, { level: IPPROTO_IPV6, name: option }, request);
    } catch (error) {
      // The device went, and its groups with it.
      if (!isKernelError(error, 'ENODEV', 'EADDRNOTAVAIL', 'EADDRINUSE')) throw error;
    }
  }
}

interface Watched {
  readonly fd: number;
  readonly watch: SocketWatch;
}

function openMember(): number | undefined {
  try {
    return socket(AF_INET6, SOCK_DGRAM, 0);
  } catch (error) {
    if (isKernelError(error, 'EAFNOSUPPORT')) return undefined;
    throw error;
  }
}

/** `struct sockaddr_ll`: include/uapi/linux/if_packet.h. */
function sockaddrLl(protocol: number, link: number): Uint8Array {
  const address = new Uint8Array(20);
  const view = new DataView(address.buffer);
  view.setUint16(0, AF_PACKET, littleEndian);
  view.setUint16(2, protocol);
  view.setInt32(4, link, littleEndian);
  return address;
}
