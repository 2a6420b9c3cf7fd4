import { closeSync } from 'node:fs';
import { errnoNumber, KernelError } from '../kernel/ffi.ts';
import { type SocketWatch, watchReadable } from '../kernel/readable.ts';
import { receiveOnChannel, sendOnChannel } from '../kernel/socket-passing.ts';
import type { RelayTarget } from '../relay/relay.ts';
import { type BindRequest, type PublishedProtocol, parseBindAnswer } from './channel.ts';

/** The binder answers in well under a millisecond; one that was killed is back in about two seconds, on a busy machine in some more. */
const patienceMs = 20_000;

interface Pending {
  readonly take: (answer: { readonly errno?: number; readonly fd: number | undefined }) => void;
  readonly timer: NodeJS.Timeout;
}

/** Sockets of the host, by way of the binder there. */
export class HostSockets {
  readonly #channel: number;
  readonly #watch: SocketWatch;
  readonly #pending = new Map<number, Pending>();
  /** Whether nothing is under way that nobody waits for, of a publisher that ran before or from before a time-out. */
  #isSettled = false;
  // Answers to that are not to be taken for ours.
  #nextId = Math.floor(Math.random() * 2 ** 40);

  /** @param channel an end of the channel to the binder */
  constructor(channel: number) {
    this.#channel = channel;
    this.#watch = watchReadable(channel, () => this.#drain());
  }

  /**
   * A socket on the host's loopback, one for TCP listening, as a file descriptor that is the caller's.
   * @param address port 0 takes one that is free
   * @throws KernelError `EADDRINUSE`, `EACCES`, …; `ETIMEDOUT`; `EPIPE` when nobody is at the other end
   */
  async bind(protocol: PublishedProtocol, { ip, port }: RelayTarget): Promise<number> {
    // Sockets of answers that nobody has taken yet hold their ports: all that was asked for is answered before this is.
    if (!this.#isSettled) await this.#ask({ id: this.#nextId++, hello: true });
    this.#isSettled = true;
    const fd = await this.#ask({ id: this.#nextId++, protocol, ip, port });
    if (fd === undefined) throw new KernelError('bind on the host', errnoNumber.EBADMSG);
    return fd;
  }

  close(): void {
    this.#watch.close();
    for (const { timer, take } of this.#pending.values()) {
      clearTimeout(timer);
      take({ errno: errnoNumber.EPIPE, fd: undefined });
    }
  }

  #ask(request: BindRequest): Promise<number | undefined> {
    return new Promise((resolve, reject) => {
      const failed = (errno: number) => reject(new KernelError('bind on the host', errno));
      sendOnChannel(this.#channel, JSON.stringify(request));
      const timer = setTimeout(() => {
        this.#pending.delete(request.id);
        this.#isSettled = false;
        failed(errnoNumber.ETIMEDOUT);
      }, patienceMs);
      this.#pending.set(request.id, {
        timer,
        take: ({ errno, fd }) => (errno === undefined ? resolve(fd) : failed(errno)),
      });
    });
  }

  #drain(): void {
    for (;;) {
      const message = receiveOnChannel(this.#channel, 'now');
      if (message === undefined) return;
      if (message === 'end') {
        // Nothing will come any more, and it would be told of again and again.
        this.#watch.close();
        return;
      }
      const answer = parseBindAnswer(message.text);
      const pending = answer && this.#pending.get(answer.id);
      if (answer === undefined || pending === undefined) {
        if (message.fd !== undefined) closeSync(message.fd);
        continue;
      }
      this.#pending.delete(answer.id);
      clearTimeout(pending.timer);
      pending.take({ ...answer, fd: message.fd });
    }
  }
}
