import type { Ip } from '../../net/ip.ts';

/** How long an address that somebody else had is not tried again, milliseconds. */
const restMs = 10 * 60_000;
const mostRemembered = 4_096;

/** Addresses of pools that somebody on the link had who is none of ours, for as long as that is worth remembering. */
export class ForeignAddresses {
  readonly #until = new Map<Ip, number>();

  add(ip: Ip, now: number): void {
    this.#until.delete(ip);
    this.#until.set(ip, now + restMs);
    for (const oldest of this.#until.keys()) {
      if (this.#until.size <= mostRemembered) break;
      this.#until.delete(oldest);
    }
  }

  has(ip: Ip, now: number): boolean {
    const until = this.#until.get(ip);
    if (until !== undefined && until <= now) this.#until.delete(ip);
    return until !== undefined && until > now;
  }

  /** Milliseconds until one of them may be tried again; `undefined` when there is none. */
  nextIn(now: number): number | undefined {
    const [first] = this.#until.values();
    return first === undefined ? undefined : Math.max(first - now, 0);
  }
}
