import { type BindOptions, createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { familyOf, type Ip, parseIp } from '../net/ip.ts';
import type { Balancer } from './balancer.ts';
import type { Relay, RelayLimits, RelayTarget } from './relay.ts';

/** Datagrams kept for the next endpoint until one has answered; more are those of a client that does not wait. */
const keptDatagrams = 8;

/**
 * Takes datagrams and relays those of each client address and port to one endpoint, answers back, until there were
 * none for a while. If the endpoint refuses before it has ever answered, what it was sent goes to the next one.
 */
export class UdpRelay implements Relay {
  readonly #socket: Socket;
  readonly #balancer: Balancer;
  readonly #limits: RelayLimits;
  readonly #flows = new Map<string, Flow>();

  constructor(host: Ip, balancer: Balancer, limits: RelayLimits) {
    this.#balancer = balancer;
    this.#limits = limits;
    this.#socket = createSocket(familyOf(host) === 'IPv4' ? 'udp4' : 'udp6');
    this.#socket.on('message', (datagram, from) => this.#receive(datagram, from));
  }

  listen(host: Ip, port: number): Promise<number> {
    return this.#bind({ address: host, port, exclusive: true });
  }

  adopt(fd: number): Promise<number> {
    return this.#bind({ fd });
  }

  #bind(where: BindOptions): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#socket.once('error', reject);
      this.#socket.bind(where, () => {
        this.#socket.off('error', reject);
        this.#socket.on('error', (error) => this.#limits.onError(error));
        resolve(this.#socket.address().port);
      });
    });
  }

  /** Flows end with it: their answers could not leave from this socket any more. */
  close(): void {
    this.destroy();
  }

  destroy(): void {
    for (const flow of this.#flows.values()) flow.end();
    this.#socket.close();
  }

  #receive(datagram: Buffer, from: RemoteInfo): void {
    const key = `${from.address} ${from.port}`;
    const known = this.#flows.get(key);
    // An endpoint that is gone gets nothing more; a new choice is made for the client.
    if (known !== undefined && this.#balancer.has(known.endpoint)) {
      known.send(datagram);
      return;
    }
    known?.end();
    const flow = this.#begin(key, from);
    flow?.send(datagram);
  }

  #begin(key: string, { address, port }: RemoteInfo): Flow | undefined {
    const client = parseIp(address);
    const candidates = this.#balancer.candidates(client);
    const first = candidates.next().value;
    if (first === undefined || !this.#limits.connections.take()) return undefined;
    const flow: Flow = new Flow(first, {
      idleMs: this.#limits.udpIdleMs,
      next: () => candidates.next().value ?? undefined,
      chosen: (endpoint) => this.#balancer.taken(client, endpoint),
      answer: (datagram) => this.#socket.send(datagram, port, address),
      ended: () => {
        if (this.#flows.get(key) === flow) this.#flows.delete(key);
        this.#limits.connections.giveBack();
      },
    });
    this.#flows.set(key, flow);
    return flow;
  }
}

interface FlowOptions {
  readonly idleMs: number;
  /** The endpoint to try when this one refuses. */
  readonly next: () => RelayTarget | undefined;
  /** An endpoint is in use for the client. */
  readonly chosen: (endpoint: RelayTarget) => void;
  readonly answer: (datagram: Buffer) => void;
  readonly ended: () => void;
}

/** One client's datagrams. */
class Flow {
  readonly #options: FlowOptions;
  readonly #timer: NodeJS.Timeout;
  #endpoint: RelayTarget;
  #socket: Socket;
  #connected = false;
  #answered = false;
  #over = false;
  /** Sent, but not known to have come to somebody. */
  #kept: Buffer[] = [];

  constructor(endpoint: RelayTarget, options: FlowOptions) {
    this.#options = options;
    this.#endpoint = endpoint;
    this.#timer = setTimeout(() => this.end(), options.idleMs);
    this.#socket = this.#connect();
  }

  get endpoint(): RelayTarget {
    return this.#endpoint;
  }

  send(datagram: Buffer): void {
    this.#timer.refresh();
    if (!this.#answered) {
      this.#kept.push(datagram);
      if (this.#kept.length > keptDatagrams) this.#kept.shift();
    }
    if (this.#connected) this.#socket.send(datagram);
  }

  end(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#timer);
    this.#kept = [];
    close(this.#socket);
    this.#options.ended();
  }

  #connect(): Socket {
    const socket = createSocket(familyOf(this.#endpoint.ip) === 'IPv4' ? 'udp4' : 'udp6');
    this.#connected = false;
    socket.on('error', () => this.#refused(socket));
    socket.on('message', (datagram) => {
      this.#timer.refresh();
      this.#answered = true;
      this.#kept = [];
      this.#options.answer(datagram);
    });
    // Connected, so that it hears of a refusal and nobody else's datagrams come in.
    socket.connect(this.#endpoint.port, this.#endpoint.ip, () => {
      if (socket !== this.#socket || this.#over) return;
      this.#connected = true;
      this.#options.chosen(this.#endpoint);
      for (const datagram of this.#kept) socket.send(datagram);
    });
    return socket;
  }

  #refused(socket: Socket): void {
    if (socket !== this.#socket || this.#over) return;
    const next = this.#answered ? undefined : this.#options.next();
    if (next === undefined) {
      this.end();
      return;
    }
    close(socket);
    this.#endpoint = next;
    this.#socket = this.#connect();
  }
}

function close(socket: Socket): void {
  socket.removeAllListeners();
  socket.on('error', () => {});
  socket.close();
}
