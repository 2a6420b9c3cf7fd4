import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Where a node agent leaves the number of a container's first process, as the PID namespace of the agent counts: in
 * the Pod's folder, and gone with it. Those who enter containers from outside read it.
 */
function pidFile(stateDir: string, podUid: string, container: string): string {
  return join(stateDir, 'pods', podUid, 'pids', container);
}

/** A container by its Pod's uid and its name. */
export interface ContainerName {
  readonly podUid: string;
  readonly container: string;
}

/** Notes the process of a container that has just started. */
export function writeContainerPid(stateDir: string, { podUid, container }: ContainerName, pid: number): void {
  const file = pidFile(stateDir, podUid, container);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, String(pid), { mode: 0o600 });
}

/** The process of a container that was started; `undefined` when none was. It may have ended since. */
export function readContainerPid(stateDir: string, { podUid, container }: ContainerName): number | undefined {
  try {
    return Number(readFileSync(pidFile(stateDir, podUid, container), 'utf8'));
  } catch {
    return undefined;
  }
}
