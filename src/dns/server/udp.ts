import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Logger } from '../../component/log.ts';
import { portTaken } from '../../component/port-taken.ts';
import { type BindSocket, bindSocket } from '../../kernel/bound-sockets.ts';
import { DatagramBatch, type DatagramPeer } from '../../kernel/datagrams.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import { formatServerAddress, lookupNothing, type ServerAddress, socketType } from '../forward/address.ts';

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

/** Octets waiting to be sent, from which on answers are dropped: their clients will ask again. */
const maxQueued = 4 << 20;
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
export async function listenUdp(
  address: ServerAddress,
  { responder, log, bind = bindSocket }: Omit<UdpService, 'ip'> & { readonly bind?: BindSocket },
): Promise<Listener> {
  try {
    return await serveUdp(bind('udp', address.ip, address.port), { ip: address.ip, responder, log });
  } catch (cause) {
    throw portTaken(`${formatServerAddress(address)} UDP`, cause);
  }
}

/** What answers at a socket, and the address it is bound to. */
export interface UdpService {
  readonly ip: ServerAddress['ip'];
  readonly responder: Responder;
  readonly log: Logger;
}

/** Serves DNS at a socket that is bound; it is the listener's from now on. */
export async function serveUdp(fd: number, service: UdpService): Promise<Listener> {
  const socket = createSocket({ type: socketType(familyOf(service.ip)), lookup: lookupNothing });
  const listening = once(socket, 'listening');
  socket.bind({ fd });
  await listening;
  socket.on('error', (err) => service.log.warn({ err }, 'udp socket'));
  widen(socket);
  const port = new Port(socket, fd, service);
  const { ip } = service;
  return {
    address: { ip, port: socket.address().port },
    sockets: [{ type: 'udp', ip, fd }],
    close: () => port.close(),
  };
}

/**
 * Queries of one socket, and the answers to them. Node says when one has come, and hands it over; those that came with
 * it are taken, and answered, by batches. That halves the cost of a query under load: see `bench/dns-sockets.ts`.
 */
class Port {
  readonly #socket: Socket;
  readonly #responder: Responder;
  readonly #batch: DatagramBatch;
  /** Whether answers are gathered, to be sent together. */
  #isGathering = false;
  /** Whether batches have been taken since others were last let to work. */
  #hasDrained = false;
  #isClosed = false;

  constructor(socket: Socket, fd: number, { ip, responder }: UdpService) {
    const family = familyOf(ip);
    this.#socket = socket;
    this.#responder = responder;
    this.#batch = new DatagramBatch(fd, { family, count: batchSize, received: maxQuery, sent: maxReply });
    socket.on('message', (packet, { port, address }) => {
      // Nobody sends from port 0; answering it is an error of the socket.
      if (port !== 0)
        responder.answer(packet.subarray(0, maxQuery), { transport: 'udp', family, address, port }, (reply) =>
          this.#send(reply, port, address),
        );
      if (!this.#hasDrained) this.#drain();
    });
  }

  /** What has come is answered; it would be lost with the socket, and somebody else may be there for what comes next. */
  close(): Promise<void> {
    this.#drain();
    this.#isClosed = true;
    return new Promise((resolve) => this.#socket.close(() => resolve()));
  }

  #drain(): void {
    this.#hasDrained = true;
    setImmediate(() => {
      this.#hasDrained = false;
    });
    for (let i = 0; i < batchesInARow && !this.#isClosed; i++) {
      const count = this.#batch.receive();
      if (count === 0) return;
      this.#isGathering = true;
      try {
        for (let index = 0; index < count; index++) this.#answer(this.#batch.packet(index), this.#batch.peer(index));
      } finally {
        this.#isGathering = false;
        this.#flush();
      }
      if (count < batchSize) return;
    }
  }

  #answer(packet: Buffer, peer: DatagramPeer): void {
    if (peer.port === 0) return;
    this.#responder.answer(packet, new UdpClient(peer), (reply) => this.#queue(reply, peer));
  }

  #queue(reply: Buffer, peer: DatagramPeer): void {
    // An answer from elsewhere may come when nobody is left to send it.
    if (this.#isClosed) return;
    if (!this.#batch.queue(peer, reply)) {
      this.#send(reply, peer.port, peer.address);
      return;
    }
    if (!this.#isGathering) this.#flush();
  }

  #flush(): void {
    // What is sent later must not lie where the next batch will.
    this.#batch.flush((peer, octets) => this.#send(Buffer.from(octets), peer.port, peer.address));
  }

  #send(reply: Buffer, port: number, address: string): void {
    if (this.#isClosed || this.#socket.getSendQueueSize() > maxQueued) return;
    this.#socket.send(reply, port, address);
    // What the kernel did not take at once is sent later, from the same memory.
    if (this.#socket.getSendQueueCount() > 0) this.#responder.keepReply();
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

function widen(socket: Socket): void {
  try {
    socket.setRecvBufferSize(receiveBuffer);
  } catch {
    // Not every system lets it be set; the default serves as well, up to a smaller burst.
  }
}
