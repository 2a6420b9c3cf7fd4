import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { SignalboxError } from '../../errors/error.ts';

/** Where commands of the system's administrator are. */
export function findCommand(name: string): string | undefined {
  const folders = `${process.env.PATH ?? ''}:/usr/sbin:/sbin:/usr/local/sbin`.split(':').filter((dir) => dir !== '');
  return folders.map((dir) => join(dir, name)).find(isExecutable);
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
export function requireCommand(name: string): string {
  const path = findCommand(name);
  if (path !== undefined) return path;
  throw new SignalboxError('IPTABLES_ABSENT', {
    object: name,
    problem: 'is not on this machine',
    remedy: 'install it (apt-get install iptables), or choose another proxy mode',
  });
}
