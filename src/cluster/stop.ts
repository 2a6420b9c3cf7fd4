import { sleep } from '../component/backoff.ts';
import { SignalboxError } from '../errors/error.ts';
import { isAlive, sendSignal } from '../kernel/process.ts';
import { binderGone } from './binder-process.ts';
import { closeHostRoute } from './host-route.ts';
import { type ClusterPaths, type ClusterRecord, isRunning, readRecord, removeFolders, supervisorOf } from './state.ts';

const politeMs = 3_000;
/** The kernel ends every process of the cluster, on a busy machine one after the other. */
const killedMs = 30_000;

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
  if (wasRunning && !(await ended(record))) {
    throw new SignalboxError('CLUSTER_NOT_STOPPED', {
      object: `process ${record.process.pid}`,
      problem: 'of the cluster is still there after SIGKILL',
      remedy: 'see what it waits for in /proc/PID/stack and call `signalbox down` again',
    });
  }
  if (record?.hostRoute) closeHostRoute(paths);
  if (record?.binder !== undefined) await binderGone(record.binder);
  if (!options.keepData) removeFolders(paths);
  return wasRunning ? 'running' : 'stopped';
}

/**
 * Asks the supervisor, which lets the store finish; then ends what holds it, and the kernel ends the supervisor. That one
 * outlives its holder by as long as the kernel takes to end all the others, and only then nobody writes to the folder.
 */
async function ended(record: ClusterRecord): Promise<boolean> {
  const supervisor = supervisorOf(record);
  for (const [target, signal, patience] of [
    [supervisor, 'SIGTERM', politeMs],
    [record.process, 'SIGKILL', killedMs],
  ] as const) {
    if (target !== undefined) sendSignal(target, signal);
    for (const until = Date.now() + patience; Date.now() < until; await sleep(10)) {
      if (![record.process, supervisor].some((each) => each !== undefined && isAlive(each))) return true;
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
