import { readFileSync } from 'node:fs';
import { openRoutes } from '../../kernel/links.ts';
import type { BackendOptions } from '../modes.ts';
import { openNftablesBackend } from '../nftables/backend.ts';
import { UserspaceBackend } from './backend.ts';
import { Budget } from './relay.ts';
import { Relays } from './relays.ts';

/** Tables `ip` and `ip6` of this name lead to the relays. Not those of the nftables mode: both may be there at a change. */
export const tableName = 'signalbox-userspace';

/** Files the process has open besides relayed connections. */
const otherFiles = 1024;

/**
 * The backend in the network namespace this process is in.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`
 */
export function openUserspaceBackend({ config, log }: BackendOptions): UserspaceBackend {
  const routes = openRoutes();
  const connections = new Budget(Math.max(1, (openFilesLimit() - otherFiles) >> 1), exhausted(log));
  const relays = new Relays({
    limits: {
      connections,
      idleMs: establishedIdleMs,
      udpIdleMs: config.userspace.udpIdleTimeout,
      onError: (err) => log.warn({ err }, 'a relay could not take a client'),
    },
    ports: config.userspace.ports,
    now: () => performance.now(),
  });
  return new UserspaceBackend({
    rules: openNftablesBackend(log, tableName),
    relays,
    interfaceAddresses: () => routes.listAddresses().map(({ ip }) => ip),
    close: () => routes.close(),
  });
}

/** As long as the kernel remembers an idle connection by Kubernetes' default (`conntrack.tcpEstablishedTimeout`). */
const establishedIdleMs = 24 * 60 * 60 * 1000;

/** Node.js has raised the soft limit to the hard one when it started. */
function openFilesLimit(): number {
  const [, soft = '1024'] = /^Max open files\s+(\d+|unlimited)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? [];
  return soft === 'unlimited' ? 1_048_576 : Number(soft);
}

/** Tells at most once a minute, as clients that are turned away come in crowds. */
function exhausted(log: BackendOptions['log']): () => void {
  let told = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - told < 60_000) return;
    told = performance.now();
    log.warn('a client was turned away: no more connections can be relayed with the files this process may open');
  };
}
