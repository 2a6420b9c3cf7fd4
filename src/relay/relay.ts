import type { Ip } from '../net/ip.ts';

/** An address and port that clients are led to. */
export interface RelayTarget {
  readonly ip: Ip;
  readonly port: number;
}

/** A listening socket with all that goes through it. */
export interface Relay {
  /**
   * Begins to take clients; gives the port.
   * @param port 0 for any that is free
   * @throws Error with `code` `EADDRINUSE`, `EADDRNOTAVAIL`, `EACCES`
   */
  listen(host: Ip, port: number): Promise<number>;
  /** As `listen`, on a socket that somebody has bound already (one for TCP listens); from now on it is the relay's. */
  adopt(fd: number): Promise<number>;
  /** Takes no more clients. */
  close(): void;
  /** Ends everything at once. */
  destroy(): void;
}

/** What all relays of a process have in common. */
export interface RelayLimits {
  /** Connections through all relays together. */
  readonly connections: Budget;
  /** A connection nobody used for this long is ended, milliseconds. */
  readonly idleMs: number;
  /** A flow of datagrams nobody used for this long is forgotten, milliseconds. */
  readonly udpIdleMs: number;
  /** The listening socket failed, or a client could not be taken. */
  readonly onError: (error: Error) => void;
}

/** So many at once and no more. */
export class Budget {
  readonly #max: () => number;
  readonly #onExhausted: () => void;
  #used = 0;

  /** @param max asked for each time, as it may change */
  constructor(max: () => number, onExhausted: () => void) {
    this.#max = max;
    this.#onExhausted = onExhausted;
  }

  get used(): number {
    return this.#used;
  }

  /** Whether there was one left, which is the caller's until it gives it back. */
  take(): boolean {
    if (this.#used >= this.#max()) {
      this.#onExhausted();
      return false;
    }
    this.#used++;
    return true;
  }

  giveBack(): void {
    this.#used--;
  }
}
