import { get } from 'node:http';
import { sleep } from '../component/backoff.ts';
import type { Ip } from '../net/ip.ts';

/** Whose health is asked, and who is told. */
export interface ProxyWatchOptions {
  /** The proxy's `/healthz`; `undefined`: nobody is asked, and every address counts as served. */
  readonly url: string | undefined;
  /** What `serves` says may be different now. */
  readonly onChange: () => void;
}

/** An answer of a proxy's `/healthz`. */
interface ProxyHealth {
  readonly healthy: boolean;
  /** When the kernel last had all that the proxy knew; milliseconds since the epoch. */
  readonly lastUpdated: number;
}

const whileWaitingMs = 100;
const otherwiseMs = 2_000;
const timeoutMs = 1_000;
/** A proxy hears of a Service at the same time as the speaker does, give or take. */
const marginMs = 100;

/**
 * Whether the node's own proxy serves an address: its rules have been brought up to date once since the address was
 * heard of, and it has not said since that it is not well. One that has ended leaves its rules behind, so silence
 * changes nothing.
 */
export class ProxyWatch {
  readonly #options: ProxyWatchOptions;
  /** When each address that waits was heard of; milliseconds since the epoch. */
  readonly #waiting = new Map<Ip, number>();
  readonly #served = new Set<Ip>();
  #healthy = true;
  #wake = new AbortController();

  constructor(options: ProxyWatchOptions) {
    this.#options = options;
  }

  serves(address: Ip): boolean {
    return this.#options.url === undefined || (this.#healthy && this.#served.has(address));
  }

  /** The addresses there are. */
  setAddresses(addresses: Iterable<Ip>): void {
    const all = new Set(addresses);
    for (const known of [...this.#waiting.keys(), ...this.#served]) {
      if (all.has(known)) continue;
      this.#waiting.delete(known);
      this.#served.delete(known);
    }
    for (const address of all) {
      if (!this.#served.has(address) && !this.#waiting.has(address)) this.#waiting.set(address, Date.now());
    }
    this.#wake.abort();
  }

  /** Asks until the signal aborts, as long as there are addresses. */
  async run(signal: AbortSignal): Promise<void> {
    const { url } = this.#options;
    if (url === undefined) return;
    while (!signal.aborted) {
      this.#wake = new AbortController();
      if (this.#waiting.size + this.#served.size > 0) this.#take(await askHealth(url).catch(() => undefined));
      const wait = this.#waiting.size > 0 ? whileWaitingMs : otherwiseMs;
      // What waits is not asked for any sooner by more that comes.
      await sleep(wait, signal, this.#waiting.size > 0 ? undefined : this.#wake.signal);
    }
  }

  #take(health: ProxyHealth | undefined): void {
    if (health === undefined) return;
    let changed = health.healthy !== this.#healthy;
    this.#healthy = health.healthy;
    for (const [address, since] of health.healthy ? this.#waiting : []) {
      if (health.lastUpdated < since + marginMs) continue;
      this.#waiting.delete(address);
      this.#served.add(address);
      changed = true;
    }
    if (changed) this.#options.onChange();
  }
}

/** Reads what our proxy or kube-proxy answers; `undefined` for anything else. */
function parseProxyHealth(status: number, body: string): ProxyHealth | undefined {
  // kube-proxy writes the time as Go prints it: 2026-11-23 10:00:00.5 +0100 CET m=+3.1
  const [, day, time, offset = 'Z'] =
    /"lastUpdated":\s*"(\d{4}-\d\d-\d\d)[T ]([\d:.]+) ?(Z|[+-]\d\d:?\d\d)?/.exec(body) ?? [];
  const lastUpdated = Date.parse(`${day}T${time?.slice(0, 12)}${offset.replace(/^([+-]\d\d)(\d\d)$/, '$1:$2')}`);
  return Number.isNaN(lastUpdated) ? undefined : { healthy: status === 200, lastUpdated };
}

const maxBodyBytes = 4_096;

function askHealth(url: string): Promise<ProxyHealth | undefined> {
  return new Promise((resolve, reject) => {
    const request = get(url, { signal: AbortSignal.timeout(timeoutMs), agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (data: string) => {
        body += data;
        if (body.length > maxBodyBytes) request.destroy(new Error('the answer is too long'));
      });
      response.on('error', reject);
      response.on('end', () => resolve(parseProxyHealth(response.statusCode ?? 0, body)));
    });
    request.on('error', reject);
  });
}
