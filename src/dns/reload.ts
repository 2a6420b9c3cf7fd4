import type { Logger } from '../component/log.ts';
import type { ReadConfig } from './config/read.ts';
import type { ReloadSettings } from './config/types.ts';
import type { ReloadRequests } from './reload-requests.ts';
import type { DnsServer } from './server.ts';

/** What is watched, and by whom. */
export interface ReloadParts {
  readonly server: DnsServer;
  /** Reads the configuration's files anew. */
  readonly read: () => Promise<ReadConfig>;
  /** The digest of what the server was started with. */
  readonly digest: string;
  readonly log: Logger;
  readonly signal: AbortSignal;
  readonly requests: ReloadRequests;
  /** From 0 to 1, for the jitter. */
  readonly random?: () => number;
}

/**
 * Looks at a configuration's files from time to time, where the configuration itself says so, and has the server go over
 * to what has changed. When it is asked to it does so at once, whatever has changed: the files that a configuration names,
 * such as certificates, may have. What cannot be read or done is told and counted, and tried again next time; the server
 * goes on as it was. Resolves when the signal aborts.
 */
export async function followConfig(parts: ReloadParts): Promise<void> {
  const { server, log, signal, requests, random = Math.random } = parts;
  let { digest } = parts;
  server.metrics.noteConfig(digest);
  while (!signal.aborted) {
    const { reload } = server.config;
    const isAsked = await requests.wait(reload && delayOf(reload, random), signal);
    if (signal.aborted) return;
    try {
      const read = await parts.read();
      if (read.digest === digest && !isAsked) continue;
      await server.apply(read.config);
      digest = read.digest;
      server.metrics.noteConfig(digest);
      log.info({ digest }, 'goes by the configuration as it is now');
    } catch (err) {
      server.metrics.countFailedReload();
      log.error({ err }, 'the configuration as it is now cannot be used; goes on with the one before');
    }
  }
}

/** Servers of one configuration are not to change all at once. */
function delayOf({ intervalMs, jitterMs }: ReloadSettings, random: () => number): number {
  return intervalMs + (2 * random() - 1) * jitterMs;
}
