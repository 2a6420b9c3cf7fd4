import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { SignalboxError } from '../../errors/error.ts';

/** The folders of PATH, and where commands of the system's administrator are. */
export function commandFolders(): string[] {
  const folders = `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/local/sbin`.split(':');
  return folders.filter((folder) => folder !== '');
}

/** The path of a command in the first of the folders that has it. */
export function findCommand(name: string, folders: readonly string[] = commandFolders()): string | undefined {
  return folders.map((folder) => join(folder, name)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * The path of a command that must be there.
 * @throws SignalboxError `IPTABLES_ABSENT`
 */
export function requireCommand(name: string, folders?: readonly string[]): string {
  const path = findCommand(name, folders);
  if (path !== undefined) return path;
  throw new SignalboxError('IPTABLES_ABSENT', {
    object: name,
    problem: 'is not on this machine',
    remedy: 'install it (apt-get install iptables), or choose another proxy mode',
  });
}
