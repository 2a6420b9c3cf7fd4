import { type Ip, type IpFamily, ipFromBytes } from '../net/ip.ts';
import { addressOf, errnoNumber, receiveMessages, sendMessages } from './ffi.ts';

// `struct mmsghdr` and `struct iovec` on 64-bit Linux (include/linux/socket.h, include/uapi/linux/uio.h), in words of 4 octets.
const headerWords = 16;
const iovecWords = 4;
const word = { name: 0, nameLength: 2, iovec: 4, iovecCount: 6, control: 8, controlLength: 10, length: 14 } as const;
/** Room for a socket address of either family. */
const nameRoomWords = 8;
/** `struct sockaddr_in` and `sockaddr_in6`: their octets, and the words that say something. */
const names = { IPv4: { size: 16, words: 2 }, IPv6: { size: 28, words: 7 } } as const;

/**
 * The control message with a datagram's own address of this machine (`struct cmsghdr` of include/linux/socket.h): its
 * octets, the words it takes, and the first of its data, which are for
 * - IPv4 `struct in_pktinfo`: device, the address (`ipi_spec_dst`), the header's address;
 * - IPv6 `struct in6_pktinfo`: the address, device.
 */
const controls = {
  IPv4: { level: 0, type: 8 /* IP_PKTINFO */, size: 28, words: 8 },
  IPv6: { level: 41 /* IPPROTO_IPV6 */, type: 50 /* IPV6_PKTINFO */, size: 36, words: 10 },
} as const;
const controlWord = { size: 0, level: 2, type: 3, data: 4 } as const;

/** Who sent a datagram, and where to. */
export class DatagramPeer {
  readonly family: IpFamily;
  readonly port: number;
  /** Its socket address as it lies in memory. */
  readonly words: readonly number[];
  /** Which address of this machine answers come from, as data of a control message; the kernel's choice without. */
  readonly source: readonly number[] | undefined;

  constructor(family: IpFamily, words: readonly number[], source?: readonly number[]) {
    // The port is the second half of the first word, in network order.
    const half = (words[0] ?? 0) >>> 16;
    this.family = family;
    this.port = ((half & 0xff) << 8) | (half >>> 8);
    this.words = words;
    this.source = source;
  }

  get address(): Ip {
    const bytes = new Uint8Array(Uint32Array.from(this.words).buffer);
    return ipFromBytes(this.family === 'IPv4' ? bytes.slice(4, 8) : bytes.slice(8, 24));
  }
}

/** What a batch is for, and how large it may get. */
export interface BatchOptions {
  /** Of all its peers. */
  readonly family: IpFamily;
  /** Datagrams that are taken, or sent, by one system call. */
  readonly count: number;
  /** The largest datagram that comes, in octets: what is longer is cut; and the largest that goes. */
  readonly received: number;
  readonly sent: number;
}

/** Who is to get what: a datagram the kernel did not take. */
export type Unsent = (peer: DatagramPeer, octets: Buffer) => void;

/**
 * Datagrams of a socket by the dozen: one system call takes all that wait, and one sends all the answers (recvmmsg(2),
 * sendmmsg(2)). Answers come from the address that was asked, where the socket tells which that is (`bindSocket`). Of a
 * socket that is given to nobody else's care meanwhile, and open.
 */
export class DatagramBatch {
  readonly #fd: number;
  readonly #incoming: MessageVector;
  readonly #outgoing: MessageVector;
  readonly #queued: DatagramPeer[] = [];
  #received = 0;

  constructor(fd: number, { family, count, received, sent }: BatchOptions) {
    this.#fd = fd;
    this.#incoming = new MessageVector({ family, count, room: received });
    this.#outgoing = new MessageVector({ family, count, room: sent });
  }

  /** Takes what waits, without waiting; how many datagrams that are. Those taken before are gone. */
  receive(): number {
    const { headers, count } = this.#incoming;
    this.#incoming.expect(this.#received);
    this.#received = Math.max(0, receiveMessages(this.#fd, headers, count));
    return this.#received;
  }

  /** The octets of a datagram that was taken, until the next `receive`. */
  packet(index: number): Buffer {
    return this.#incoming.octets(index);
  }

  peer(index: number): DatagramPeer {
    return this.#incoming.peer(index);
  }

  /** Has a copy sent by the next `flush`; `false` where it is too long, or there are too many. */
  queue(peer: DatagramPeer, octets: Buffer): boolean {
    const { count, room } = this.#outgoing;
    const index = this.#queued.length;
    if (index === count || octets.length > room) return false;
    this.#outgoing.write(index, peer, octets);
    this.#queued.push(peer);
    return true;
  }

  /** Sends what is queued. What the kernel has no room for now is left to `unsent`; what it refuses is dropped. */
  flush(unsent: Unsent): void {
    const { length } = this.#queued;
    let index = 0;
    while (index < length) {
      const sent = sendMessages(this.#fd, this.#outgoing.headersFrom(index), length - index);
      if (sent === -errnoNumber.EAGAIN) break;
      // An error is about the first that was left: the others may go elsewhere.
      index += Math.max(1, sent);
    }
    for (; index < length; index++) {
      const peer = this.#queued[index];
      if (peer !== undefined) unsent(peer, this.#outgoing.written(index));
    }
    this.#queued.length = 0;
  }
}

/** Message headers, each with room for a socket address and for octets, in memory that the kernel reads and writes. */
class MessageVector {
  /** All headers. */
  readonly headers: Buffer;
  readonly count: number;
  readonly room: number;
  readonly #rooms: readonly Buffer[];
  readonly #family: IpFamily;
  readonly #words: Uint32Array;
  readonly #iovecsAt: number;
  readonly #namesAt: number;
  readonly #controlsAt: number;

  constructor({ family, count, room }: { readonly family: IpFamily; readonly count: number; readonly room: number }) {
    const control = controls[family];
    this.count = count;
    this.room = room;
    this.#family = family;
    this.#iovecsAt = count * headerWords;
    this.#namesAt = this.#iovecsAt + count * iovecWords;
    this.#controlsAt = this.#namesAt + count * nameRoomWords;
    const roomsAt = (this.#controlsAt + count * control.words) * 4;
    const memory = new ArrayBuffer(roomsAt + count * room);
    this.headers = Buffer.from(memory, 0, this.#iovecsAt * 4);
    this.#words = new Uint32Array(memory, 0, roomsAt / 4);
    this.#rooms = Array.from({ length: count }, (_, i) => Buffer.from(memory, roomsAt + i * room, room));
    const pointers = new BigUint64Array(memory, 0, this.#namesAt / 2);
    const base = addressOf(memory);
    for (let i = 0; i < count; i++) {
      const header = i * headerWords;
      const iovec = this.#iovecsAt + i * iovecWords;
      pointers[(header + word.name) / 2] = base + BigInt((this.#namesAt + i * nameRoomWords) * 4);
      pointers[(header + word.iovec) / 2] = base + BigInt(iovec * 4);
      pointers[(header + word.control) / 2] = base + BigInt(this.#controlOf(i) * 4);
      pointers[iovec / 2] = base + BigInt(roomsAt + i * room);
      // The kernel writes the length of each address that comes: it is the same for all of a family.
      this.#words[header + word.nameLength] = names[family].size;
      this.#words[header + word.iovecCount] = 1;
      this.#words[iovec + 2] = room;
      this.#words[this.#controlOf(i) + controlWord.size] = control.size;
      this.#words[this.#controlOf(i) + controlWord.level] = control.level;
      this.#words[this.#controlOf(i) + controlWord.type] = control.type;
    }
    this.expect(count);
  }

  /** Has room again for what comes with the first so many datagrams: the kernel has written how much it took. */
  expect(count: number): void {
    const size = controls[this.#family].words * 4;
    for (let i = 0; i < count; i++) this.#words[i * headerWords + word.controlLength] = size;
  }

  headersFrom(index: number): Buffer {
    return index === 0 ? this.headers : this.headers.subarray(index * headerWords * 4);
  }

  octets(index: number): Buffer {
    return this.#roomOf(index).subarray(0, this.#words[index * headerWords + word.length]);
  }

  peer(index: number): DatagramPeer {
    const from = this.#namesAt + index * nameRoomWords;
    const words: number[] = [];
    for (let i = 0; i < names[this.#family].words; i++) words.push(this.#words[from + i] ?? 0);
    return new DatagramPeer(this.#family, words, this.#sourceFor(index));
  }

  write(index: number, { words, source = [] }: DatagramPeer, octets: Buffer): void {
    octets.copy(this.#roomOf(index));
    this.#words[this.#iovecsAt + index * iovecWords + 2] = octets.length;
    const to = this.#namesAt + index * nameRoomWords;
    for (let i = 0; i < words.length; i++) this.#words[to + i] = words[i] ?? 0;
    const data = this.#controlOf(index) + controlWord.data;
    for (let i = 0; i < source.length; i++) this.#words[data + i] = source[i] ?? 0;
    const controlSize = source.length === 0 ? 0 : controls[this.#family].words * 4;
    this.#words[index * headerWords + word.controlLength] = controlSize;
  }

  /**
   * What answers to a datagram are sent with. The device is left out, so that the way back is the routes' choice; but an
   * address of one link means nothing without it.
   */
  #sourceFor(index: number): number[] | undefined {
    if (this.#words[index * headerWords + word.controlLength] === 0) return undefined;
    const data = this.#controlOf(index) + controlWord.data;
    const at = (i: number) => this.#words[data + i] ?? 0;
    // What was sent to many has an address of the device here, chosen by the kernel.
    if (this.#family === 'IPv4') return at(1) === 0 ? undefined : [0, at(1), 0];
    const beginning = at(0);
    // Nothing is sent from a group (ff00::/8).
    if ((beginning & 0xff) === 0xff) return undefined;
    const isLinkLocal = (beginning & 0xc0ff) === 0x80fe;
    return [beginning, at(1), at(2), at(3), isLinkLocal ? at(4) : 0];
  }

  #controlOf(index: number): number {
    return this.#controlsAt + index * controls[this.#family].words;
  }

  written(index: number): Buffer {
    return this.#roomOf(index).subarray(0, this.#words[this.#iovecsAt + index * iovecWords + 2]);
  }

  #roomOf(index: number): Buffer {
    const room = this.#rooms[index];
    if (room === undefined) throw new RangeError(`no message ${index}`);
    return room;
  }
}
