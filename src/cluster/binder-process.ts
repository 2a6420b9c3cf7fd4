import { spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { sleep } from '../component/backoff.ts';
import { identify, isAlive, listChildren, type ProcessIdentity, sendSignal } from '../kernel/process.ts';
import { channelEnds } from '../kernel/socket-passing.ts';

/** A binder on the host, and the cluster's end of the channel to it, which is the caller's to close. */
export interface StartedBinder {
  readonly channel: number;
  /** Who keeps it running; absent if it has ended already. */
  readonly process: ProcessIdentity | undefined;
}

/** A binder ends well when its cluster has ended. One that was killed is started again, with the same channel. */
const keep = 'until "$@"; do sleep 1; done';
const endsMs = 3_000;

/**
 * Starts a binder (`runBinder`) where the calling thread is. It needs no end: without a cluster at the other end of the
 * channel it goes, and a cluster that ends takes its end along however that comes about.
 * @param program this program's entry file
 * @param log file descriptor of the file that it logs to
 */
export function startBinder(program: string, log: number): StartedBinder {
  const [outside, channel] = channelEnds();
  const child = spawn('sh', ['-c', keep, 'signalbox-binder', process.execPath, program, 'binder'], {
    // Out of reach of what a terminal sends to the foreground.
    detached: true,
    stdio: ['ignore', log, log, outside],
  });
  closeSync(outside);
  child.on('error', () => {});
  child.unref();
  return { channel, process: identify(child.pid ?? 0) };
}

/** Waits until the binder of a cluster that has ended is gone, and kills it if it does not go. */
export async function binderGone(keeper: ProcessIdentity): Promise<void> {
  if (await gone([keeper])) return;
  // The one that starts others first.
  const all = [keeper, ...listChildren(keeper.pid).flatMap((pid) => identify(pid) ?? [])];
  for (const each of all) sendSignal(each, 'SIGKILL');
  await gone(all);
}

async function gone(processes: readonly ProcessIdentity[]): Promise<boolean> {
  for (const until = Date.now() + endsMs; Date.now() < until; await sleep(5)) {
    if (!processes.some(isAlive)) return true;
  }
  return false;
}
