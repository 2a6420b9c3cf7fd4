import { aborted } from '../component/abort.ts';
import { sleep } from '../component/backoff.ts';

/**
 * Requests to read the configuration anew: the signal SIGUSR1, as CoreDNS has it. They are taken from when this is made
 * until it is closed; with nobody who takes it, Node would open its debugger at that signal.
 */
export class ReloadRequests {
  /** Aborted by a request, until that is taken. */
  #request = new AbortController();
  readonly #ask = () => this.#request.abort();

  constructor() {
    process.on('SIGUSR1', this.#ask);
  }

  /**
   * Waits for a request; no longer than so many milliseconds, where it is given; and until the signal aborts. Whether
   * there was one, since this was last asked.
   */
  async wait(ms: number | undefined, signal: AbortSignal): Promise<boolean> {
    const { signal: request } = this.#request;
    await (ms === undefined ? aborted(request, signal) : sleep(ms, request, signal));
    const isAsked = request.aborted;
    if (isAsked) this.#request = new AbortController();
    return isAsked;
  }

  close(): void {
    process.off('SIGUSR1', this.#ask);
  }
}
