import { sleep } from '../component/backoff.ts';
import { SignalboxError } from '../errors/error.ts';
import { isAlive, type ProcessIdentity, sendSignal } from '../kernel/process.ts';
import { type ClusterPaths, isRunning, readRecord, removeFolders } from './state.ts';

const politeMs = 3_000;
const killedMs = 5_000;

/**
 * Stops a cluster, running or not, and removes its folder unless its data is to be kept. The kernel takes away every
 * process, namespace, mount and rule with the supervisor, which is the first process of their PID namespace.
 * @returns what there was to stop
 * @throws SignalboxError `CLUSTER_NOT_STOPPED` when its process outlives SIGKILL
 */
export async function stopCluster(
  paths: ClusterPaths,
  options: { readonly keepData: boolean },
): Promise<'running' | 'stopped'> {
  const record = readRecordOrNothing(paths);
  const wasRunning = isRunning(record);
  if (wasRunning && !(await ended(record.process))) {
    throw new SignalboxError('CLUSTER_NOT_STOPPED', {
      object: `process ${record.process.pid}`,
      problem: 'of the cluster is still there after SIGKILL',
      remedy: 'see what it waits for in /proc/PID/stack and call `signalbox down` again',
    });
  }
  if (!options.keepData) removeFolders(paths);
  return wasRunning ? 'running' : 'stopped';
}

async function ended(process: ProcessIdentity): Promise<boolean> {
  for (const [signal, patience] of [
    ['SIGTERM', politeMs],
    ['SIGKILL', killedMs],
  ] as const) {
    sendSignal(process, signal);
    for (const until = Date.now() + patience; Date.now() < until; await sleep(10)) {
      if (!isAlive(process)) return true;
    }
  }
  return false;
}

// `down` is the way out of a record that cannot be read.
function readRecordOrNothing(paths: ClusterPaths) {
  try {
    return readRecord(paths);
  } catch {
    return undefined;
  }
}
