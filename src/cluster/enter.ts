import { SignalboxError } from '../errors/error.ts';
import { listChildren } from '../kernel/process.ts';
import type { ClusterRecord } from './state.ts';

/**
 * The supervisor's process as the host sees it. The record's process is `unshare`, which waits for it outside.
 * @throws SignalboxError `CLUSTER_NOT_RUNNING` when it just ended
 */
export function supervisorPid(record: ClusterRecord): number {
  const [pid] = listChildren(record.process.pid);
  if (pid === undefined) {
    throw new SignalboxError('CLUSTER_NOT_RUNNING', {
      object: `cluster ${record.name}`,
      problem: 'has just ended',
      remedy: 'start it with `signalbox up`',
    });
  }
  return pid;
}

/** The command line that enters all namespaces of a process: `nsenter`(1), before the command itself. */
export function enterProcess(pid: number, namespaces: readonly ('mount' | 'uts' | 'net' | 'pid')[]): string[] {
  // Namespaces a user made belong to a user namespace of theirs; entered as it is, not as its root by setuid.
  const user = process.getuid?.() === 0 ? [] : ['--user', '--preserve-credentials'];
  return ['nsenter', '--target', String(pid), ...user, ...namespaces.map((name) => `--${name}`), '--'];
}
