import { aborted } from '../component/abort.ts';
import { sleep } from '../component/backoff.ts';
import { createLogger, type Logger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import { apiOf } from './api.ts';
import { maxWorkers } from './config/defaults.ts';
import { type ReadConfig, readDnsConfig } from './config/read.ts';
import { followConfig } from './reload.ts';
import { ReloadRequests } from './reload-requests.ts';
import { DnsServer } from './server.ts';

/** What is said on the command line beside the configuration, and holds before it. */
export interface Overrides {
  /** Path. */
  readonly kubeconfig?: string;
  /** Processes that answer. */
  readonly workers?: number;
}

/**
 * Runs the cluster's DNS server by a configuration file (see `readDnsConfig`), which SIGUSR1 has read anew, until the
 * signal aborts, and then for as long as its lameduck time says, until all sockets are closed. It answers SERVFAIL for
 * the cluster's names until it has seen all objects once, and goes on with what it has while the API is away.
 * @throws SignalboxError `PORT_TAKEN`, `INVALID_CONFIG`, and those of `loadKubeconfig`
 */
export async function runDns(path: string, signal: AbortSignal, overrides: Overrides = {}): Promise<void> {
  const log = createLogger('dns');
  const read = async () => withOverrides(await readDnsConfig(path), overrides);
  const { config, digest } = await read();
  const requests = new ReloadRequests();
  const api = apiOf(config, log);
  try {
    const server = await DnsServer.start({ config, openClient: api.open, log });
    const following = followConfig({ server, read, digest, log, signal, requests });
    await aborted(signal);
    await following;
    await retire(server, log);
    log.info('stopping');
    await server.close();
  } finally {
    requests.close();
    api.close();
  }
}

/**
 * The configuration as the command line wants it.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function withOverrides(read: ReadConfig, { kubeconfig, workers }: Overrides): ReadConfig {
  if (workers !== undefined && (workers < 1 || workers > maxWorkers))
    throw new SignalboxError('INVALID_CONFIG', {
      object: '--workers',
      problem: `is ${workers}`,
      remedy: `give a number from 1 to ${maxWorkers}`,
    });
  // A context is one of the file that named it.
  const access = kubeconfig && { kubeconfig, context: undefined, apiServer: undefined };
  const told = { ...access, ...(workers && { workers }) };
  return { ...read, config: { ...read.config, ...told } };
}

/** Clients and load balancers are given time to turn elsewhere, and are served meanwhile. */
export async function retire(server: DnsServer, log: Logger): Promise<void> {
  const lameduckMs = server.config.health?.lameduckMs ?? 0;
  if (lameduckMs === 0) return;
  log.info({ lameduckMs }, 'is about to stop, and serves on meanwhile');
  server.lameduck();
  await sleep(lameduckMs);
}
