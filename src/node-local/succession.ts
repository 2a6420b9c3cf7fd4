import { createServer } from 'node:net';
import { sleep } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import type { DnsConfig } from '../dns/config/types.ts';
import type { NodeLocalNetwork } from './network.ts';
import { addressesOf, type Place, placesOf } from './places.ts';

/** How long a server that has the place may take to go: longer than any lameduck time in use. */
const patienceMs = 60_000;
const lookAgainMs = 10;

/** Where a server is to listen, and what ends its waiting for that. */
export interface Waiting {
  readonly network: NodeLocalNetwork;
  readonly config: DnsConfig;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/**
 * Resolves when nobody listens any more where this server is to, with the addresses up; after a minute, or when the signal
 * aborts, although somebody does: who is in the way is told by listening.
 */
export async function untilFree({ network, config, log, signal }: Waiting): Promise<void> {
  const places = placesOf(config);
  const until = Date.now() + patienceMs;
  for (let tries = 0; !signal.aborted && Date.now() < until; tries++) {
    // One that saw nobody wait takes them away.
    network.addAddresses(addressesOf(config));
    if (await areFree(places)) return;
    if (tries === 0) log.info({ places }, 'another server has the place, and is waited for');
    await sleep(lookAgainMs, signal);
  }
}

/** Whether nobody listens at any of these. Who listens for UDP listens for TCP too. */
export async function areFree(places: readonly Place[]): Promise<boolean> {
  const free = await Promise.all(places.filter(({ protocol }) => protocol === 'tcp').map(isFree));
  return !free.includes(false);
}

/** By trying to listen; what else may be in the way of that does not count. */
function isFree({ ip, port }: Place): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'));
    probe.listen({ host: ip, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
