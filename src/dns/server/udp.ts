import { portTaken } from '../../component/port-taken.ts';
import { type BindSocket, bindSocket, boundPort } from '../../kernel/bound-sockets.ts';
import { DatagramBatch, type DatagramPeer } from '../../kernel/datagrams.ts';
import { close, setSocketOption } from '../../kernel/ffi.ts';
import { type SocketWatch, watchReadable } from '../../kernel/readable.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import { formatServerAddress, type ServerAddress } from '../forward/address.ts';

/** A socket that is bound to an address of this machine, as a file descriptor. */
export interface BoundSocket {
  readonly type: 'udp' | 'tcp';
  readonly ip: Ip;
  readonly fd: number;
}

/** A socket that answers, and how to end it. */
export interface Listener {
  readonly address: ServerAddress;
  /** Its descriptors, good while it is open: for processes that answer there too. */
  readonly sockets: readonly BoundSocket[];
  close(): Promise<void>;
}

// include/uapi/asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_RCVBUF = 8;

/** Octets waiting to be sent, from which on answers are dropped: their clients will ask again. */
const maxUnsent = 4 << 20;
/** Room for queries that come while we are busy, in octets; the kernel gives what its own bound allows. */
const receiveBuffer = 4 << 20;
/** Octets of a query: one name, and an OPT record with its options, are far below. What is beyond is not looked at. */
const maxQuery = 4096;
/** Octets of an answer: as much as can be configured. */
const maxReply = 4096;
/** Queries taken by one system call, and calls in a row before others are let to work: a millisecond of answers. */
const batchSize = 64;
const batchesInARow = 4;

/**
 * Serves DNS over UDP. Port 0 takes a free one.
 * @throws SignalboxError `PORT_TAKEN`
 */
export function listenUdp(
  address: ServerAddress,
  { responder, bind = bindSocket }: Omit<UdpService, 'ip'> & { readonly bind?: BindSocket },
): Listener {
  let fd: number;
  try {
    fd = bind('udp', address.ip, address.port);
  } catch (cause) {
    throw portTaken(`${formatServerAddress(address)} UDP`, cause);
  }
  return serveUdp(fd, { ip: address.ip, responder });
}

/** What answers at a socket, and the address it is bound to. */
export interface UdpService {
  readonly ip: ServerAddress['ip'];
  readonly responder: Responder;
}

/** Serves DNS at a socket that is bound; it is the listener's from now on. */
export function serveUdp(fd: number, service: UdpService): Listener {
  const { ip } = service;
  // Not all of it may be given; what is serves as well, up to a smaller burst.
  setSocketOption(fd, SOL_SOCKET, SO_RCVBUF, receiveBuffer);
  const port = new Port(fd, service);
  return {
    address: { ip, port: boundPort(fd) },
    sockets: [{ type: 'udp', ip, fd }],
    close: () => port.close(),
  };
}

/** Queries of one socket, and the answers to them: what has come is taken, and answered, by batches. */
class Port {
  readonly #fd: number;
  readonly #responder: Responder;
  readonly #batch: DatagramBatch;
  readonly #watch: SocketWatch;
  /** Answers the kernel had no room for, and their octets. */
  #unsent: { readonly peer: DatagramPeer; readonly octets: Buffer }[] = [];
  #unsentOctets = 0;
  /** Whether answers are gathered, to be sent together. */
  #isGathering = false;
  #isClosed = false;

  constructor(fd: number, { ip, responder }: UdpService) {
    this.#fd = fd;
    this.#responder = responder;
    this.#batch = new DatagramBatch(fd, {
      family: familyOf(ip),
      count: batchSize,
      received: maxQuery,
      sent: maxReply,
    });
    this.#watch = watchReadable(fd, () => this.#drain());
  }

  /** What has come is answered; it would be lost with the socket, and somebody else may be there for what comes next. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#drain();
    this.#isClosed = true;
    this.#watch.close();
    close(this.#fd);
  }

  #drain(): void {
    for (let i = 0; i < batchesInARow && !this.#isClosed; i++) {
      const count = this.#batch.receive();
      if (count === 0) return;
      this.#gather(() => {
        for (let index = 0; index < count; index++) this.#answer(this.#batch.packet(index), this.#batch.peer(index));
      });
      if (count < batchSize) return;
    }
  }

  #answer(packet: Buffer, peer: DatagramPeer): void {
    // Nobody sends from port 0; answering it is an error of the socket.
    if (peer.port === 0) return;
    this.#responder.answer(packet, new UdpClient(peer), (reply) => this.#send(peer, reply));
  }

  /** Sends what is sent meanwhile together. */
  #gather(work: () => void): void {
    this.#isGathering = true;
    try {
      work();
    } finally {
      this.#isGathering = false;
      this.#flush();
    }
  }

  #send(peer: DatagramPeer, reply: Buffer): void {
    // An answer from elsewhere may come when nobody is left to send it.
    if (this.#isClosed) return;
    if (!this.#batch.queue(peer, reply)) {
      this.#flush();
      this.#batch.queue(peer, reply);
    }
    if (!this.#isGathering) this.#flush();
  }

  #flush(): void {
    this.#batch.flush((peer, octets) => this.#keep(peer, octets));
  }

  /** For when there is room. The octets will be something else's by then. */
  #keep(peer: DatagramPeer, octets: Buffer): void {
    if (this.#unsentOctets + octets.length > maxUnsent) return;
    this.#unsent.push({ peer, octets: Buffer.from(octets) });
    this.#unsentOctets += octets.length;
    if (this.#unsent.length === 1) this.#watch.awaitRoom(() => this.#sendKept());
  }

  #sendKept(): void {
    const kept = this.#unsent;
    this.#unsent = [];
    this.#unsentOctets = 0;
    this.#gather(() => {
      for (const { peer, octets } of kept) this.#send(peer, octets);
    });
  }
}

/** The address is spelled out only for those who ask for it. */
class UdpClient {
  readonly transport = 'udp' as const;
  readonly #peer: DatagramPeer;

  constructor(peer: DatagramPeer) {
    this.#peer = peer;
  }

  get family() {
    return this.#peer.family;
  }

  get address() {
    return this.#peer.address;
  }

  get port() {
    return this.#peer.port;
  }
}
