import { flag } from '../wire/constants.ts';
import type { Response } from '../wire/response.ts';
import type { ServerAddress } from './address.ts';
import type { Question } from './question.ts';
import { askOverTcp } from './tcp-exchange.ts';
import { UdpExchange } from './udp-exchange.ts';

/** Another server. */
export class Upstream {
  readonly address: ServerAddress;
  /** When it last failed to answer, by the process's clock; `undefined` once it has answered since. */
  failedAt: number | undefined;
  readonly #udp: UdpExchange;

  constructor(address: ServerAddress) {
    this.address = address;
    this.#udp = new UdpExchange(address);
  }

  /**
   * Asks over UDP, and again over TCP if the answer did not fit; where TCP fails, the cut answer is one still, and says
   * that it is cut. Rejects when none comes in time.
   */
  async ask(question: Question, timeoutMs: number): Promise<Response> {
    const deadline = performance.now() + timeoutMs;
    const response = await this.#udp.ask(question, timeoutMs);
    if ((response.flags & flag.TC) === 0) return response;
    try {
      return await askOverTcp(this.address, question, Math.max(1, deadline - performance.now()));
    } catch {
      return response;
    }
  }

  /** Fails what is under way over UDP. */
  close(): void {
    this.#udp.close();
  }
}
