import { rarely } from '../../component/rarely.ts';
import { openRoutes } from '../../kernel/links.ts';
import { raiseOpenFiles } from '../../kernel/process.ts';
import { Budget } from '../../relay/relay.ts';
import type { BackendOptions } from '../backend.ts';
import { openNftablesBackend } from '../nftables/backend.ts';
import { nodeAddresses } from '../node-addresses.ts';
import { UserspaceBackend } from './backend.ts';
import { Relays } from './relays.ts';

/** Tables `ip` and `ip6` of this name lead to the relays. Not those of the nftables mode: both may be there at a change. */
export const tableName = 'signalbox-userspace';

/** Files the process may have open: two for each of some ten thousands of connections, where that is allowed. */
const openFiles = 131_072;

/** Those of them that are neither relays nor relayed connections. */
const otherFiles = 256;

/**
 * The backend in the network namespace this process is in.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`
 */
export function openUserspaceBackend({ config, log }: BackendOptions): UserspaceBackend {
  const routes = openRoutes();
  const files = raiseOpenFiles(openFiles);
  // Clients that are turned away come in crowds.
  const tooMany = rarely(60_000, () =>
    log.warn('a client was turned away: no more connections can be relayed with the files this process may open'),
  );
  const connections = new Budget(() => (files - otherFiles - relays.size) >> 1, tooMany);
  const relays: Relays = new Relays({
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
    rules: openNftablesBackend(tableName),
    relays,
    interfaceAddresses: () => nodeAddresses(routes),
    close: () => routes.close(),
  });
}

/** As long as the kernel remembers an idle connection by Kubernetes' default (`conntrack.tcpEstablishedTimeout`). */
const establishedIdleMs = 24 * 60 * 60 * 1000;
