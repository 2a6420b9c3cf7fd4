import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { familyOf } from '../../net/ip.ts';
import type { Response } from '../wire/response.ts';
import { lookupNothing, type ServerAddress, socketType } from './address.ts';
import { type AskOptions, type Question, randomId, readAnswer, writeQuestion } from './question.ts';

/** A question sent, until its answer or its end. */
interface Pending {
  readonly question: Question;
  readonly resolve: (response: Response) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Bounds of one socket, after which another one with another port takes over. */
const maxUses = 500;
const maxAgeMs = 10_000;
/** Sockets open at once, so that a forger has to guess the port too. */
const spread = 8;

/** One socket, connected to one server: the kernel lets nobody else's datagrams in, and tells of a closed port. */
class ExchangeSocket {
  readonly #socket: Socket;
  readonly #connected: Promise<unknown>;
  readonly #pending = new Map<number, Pending>();
  readonly #born = performance.now();
  #uses = 0;
  #closed = false;

  constructor(server: ServerAddress) {
    this.#socket = createSocket({ type: socketType(familyOf(server.ip)), lookup: lookupNothing });
    this.#socket.on('message', (message) => this.#receive(message));
    this.#socket.on('error', (error) => this.close(error));
    this.#connected = once(this.#socket, 'connect');
    this.#connected.catch(() => undefined);
    this.#socket.connect(server.port, server.ip);
  }

  /** Whether it takes no more questions. */
  get isSpent(): boolean {
    return this.#closed || this.#uses >= maxUses || performance.now() - this.#born > maxAgeMs;
  }

  ask(question: Question, { timeoutMs, edns }: AskOptions): Promise<Response> {
    this.#uses++;
    let id = randomId();
    while (this.#pending.has(id)) id = randomId();
    return new Promise<Response>((resolve, reject) => {
      const timer = setTimeout(() => this.#end(id)?.reject(new Error('i/o timeout')), timeoutMs);
      const pending = { question, resolve, reject, timer };
      this.#pending.set(id, pending);
      this.#connected.then(
        () => this.#pending.get(id) === pending && this.#socket.send(writeQuestion(question, id, edns)),
        () => undefined,
      );
    });
  }

  /** Fails what is under way. */
  close(reason: Error): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const id of [...this.#pending.keys()]) this.#end(id)?.reject(reason);
    this.#socket.close();
  }

  /** Closes when nothing is under way, now or later. */
  retire(): void {
    this.#uses = maxUses;
    if (this.#pending.size === 0) this.close(new Error('the socket was retired'));
  }

  #receive(message: Buffer): void {
    const id = message.length >= 2 ? message.readUInt16BE(0) : -1;
    const pending = this.#pending.get(id);
    if (pending === undefined) return;
    const response = readAnswer(message, pending.question);
    // A wrong guess of a forger must not end the wait for the true answer.
    if (response === undefined) return;
    this.#end(id)?.resolve(response);
  }

  #end(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    if (pending === undefined) return undefined;
    this.#pending.delete(id);
    clearTimeout(pending.timer);
    if (this.#pending.size === 0 && this.#uses >= maxUses) this.close(new Error('the socket was retired'));
    return pending;
  }
}

/** Asks one server over UDP, from several ports that change. */
export class UdpExchange {
  readonly #server: ServerAddress;
  readonly #onUse: (isReused: boolean) => void;
  readonly #sockets: (ExchangeSocket | undefined)[] = Array.from({ length: spread }, () => undefined);

  /** `onUse` is told of each question, whether its socket was open already. */
  constructor(server: ServerAddress, onUse: (isReused: boolean) => void) {
    this.#server = server;
    this.#onUse = onUse;
  }

  /** Rejects when no answer comes in time, or the server's host says that nobody listens. */
  ask(question: Question, options: AskOptions): Promise<Response> {
    const slot = randomId() % spread;
    let socket = this.#sockets[slot];
    const isReused = socket !== undefined && !socket.isSpent;
    this.#onUse(isReused);
    if (socket === undefined || !isReused) {
      socket?.retire();
      socket = new ExchangeSocket(this.#server);
      this.#sockets[slot] = socket;
    }
    return socket.ask(question, options);
  }

  close(): void {
    for (const socket of this.#sockets) socket?.close(new Error('the forwarder was closed'));
  }
}
