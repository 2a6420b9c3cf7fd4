import type { Pages } from '../component/pages.ts';

/** What controllers tell probes: who waits for others to end is as well as who works. */
export class ControllersHealth {
  #state: 'unreached' | 'waiting' | 'filling' | 'working' = 'unreached';

  /** The API server has answered who leads. */
  reached(): void {
    if (this.#state === 'unreached') this.#state = 'waiting';
  }

  /** Work has begun, and counts when the caches are filled. */
  leads(synced: Promise<void>): void {
    this.#state = 'filling';
    synced.then(
      () => {
        this.#state = 'working';
      },
      () => {},
    );
  }

  /** `/healthz` for whether the process answers at all, `/readyz` for whether it does its part. */
  pages(): Pages {
    return {
      '/healthz': () => ({ body: 'ok' }),
      '/readyz': () => readyPages[this.#state],
    };
  }
}

const readyPages = {
  unreached: { status: 503, body: 'the API server has not answered yet' },
  waiting: { body: 'ok: another one leads' },
  filling: { status: 503, body: 'the API server has not told all yet' },
  working: { body: 'ok' },
};
