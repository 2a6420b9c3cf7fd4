import { connect } from '../client/client.ts';
import { createEventRecorder } from '../client/events.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { aborted } from '../component/abort.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { rarely } from '../component/rarely.ts';
import { raiseOpenFiles } from '../kernel/process.ts';
import { Budget, type RelayLimits } from '../relay/relay.ts';
import type { PublisherConfig } from './config.ts';
import { followPublications } from './following.ts';
import { HostSockets } from './host-sockets.ts';
import { Publisher } from './publisher.ts';
import { readChoices, readPublished, writePublished } from './record.ts';

const component = 'signalbox-publisher';
const wantedFiles = 65_536;
/** The API, logs, and what Node has. */
const otherFiles = 256;
/** As long as the kernel remembers an idle connection by Kubernetes' default (`conntrack.tcpEstablishedTimeout`). */
const idleMs = 86_400_000;
/** Longer than the kernel's own 30 s for a flow that was not answered. */
const udpIdleMs = 60_000;
/** The record is one file however much is in it: changes that come together are written together. */
const writeAfterMs = 50;

/**
 * The publisher as a component, in a network namespace that routes to the nodes: what comes to sockets on the host's
 * loopback is relayed to node ports, addresses of balancers and cluster DNS, until the signal aborts. Sockets come from
 * the binder, as Services do; what is published is told in a record on disk.
 * @throws SignalboxError `KUBECONFIG_NOT_FOUND`, `INVALID_KUBECONFIG`
 */
export async function runPublisher(config: PublisherConfig, signal: AbortSignal): Promise<void> {
  const log = createLogger('publisher');
  const client = connect({ ...(await loadKubeconfig()), component });
  const events = createEventRecorder(client, { component, log });
  const sockets = new HostSockets(config.channel);
  let writing: NodeJS.Timeout | undefined;
  const write = () => {
    writing = undefined;
    save(config.record, publisher, log);
  };
  const publisher: Publisher = new Publisher({
    sockets,
    limits: relayLimits(log, () => publisher.size),
    log,
    salt: config.salt,
    choices: readChoices(readPublished(config.record)),
    onChange: () => {
      writing ??= setTimeout(write, writeAfterMs);
    },
    onNotice: ({ publication, reason, message }) => {
      const service = following.serviceOf(publication);
      if (service !== undefined) events.record(service, { type: 'Warning', reason, message });
      log.warn({ publication: publication.key, reason }, message);
    },
  });
  const following = followPublications(client, log, (wanted) => publisher.update(wanted));
  try {
    await aborted(signal);
  } finally {
    following.stop();
    publisher.stop();
    clearTimeout(writing);
    write();
    sockets.close();
    client.close();
  }
}

/** @param listening how many sockets listen */
function relayLimits(log: Logger, listening: () => number): RelayLimits {
  const files = raiseOpenFiles(wantedFiles);
  const connections = new Budget(
    // One to the host, one to the cluster.
    () => (files - otherFiles - listening()) >> 1,
    rarely(60_000, () => log.warn('clients are turned away: this process may not open more files')),
  );
  return { connections, idleMs, udpIdleMs, onError: (err) => log.warn({ err }, 'a client could not be taken') };
}

function save(path: string, publisher: Publisher, log: Logger): void {
  const choices = Object.fromEntries([...publisher.choices].map(([key, { ip, port }]) => [key, `${ip}:${port}`]));
  try {
    writePublished(path, { choices, ports: publisher.report() });
  } catch (err) {
    log.error({ err }, 'what is published could not be written down');
  }
}
