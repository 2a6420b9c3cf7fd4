import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { SignalboxError } from '../errors/error.ts';

/**
 * Reads a kernel parameter, `net.…` ones in the network namespace of the calling thread.
 * @param name with dots (`net.ipv4.ip_forward`); a device name's own dots as slashes, as sysctl(8) has it
 * @throws SignalboxError `KERNEL_REFUSED` naming the parameter
 */
export function readSysctl(name: string): string {
  try {
    return readFileSync(pathOf(name), 'utf8').trim();
  } catch (error) {
    throw refused(name, 'cannot be read', error);
  }
}

/**
 * Sets a kernel parameter; see `readSysctl`.
 * @throws SignalboxError `KERNEL_REFUSED` naming the parameter
 */
export function writeSysctl(name: string, value: string | number): void {
  try {
    writeFileSync(pathOf(name), `${value}`);
  } catch (error) {
    throw refused(name, `cannot be set to ${value}`, error);
  }
}

/** As `writeSysctl`; does nothing when this kernel has no such parameter. */
export function writeSysctlIfKnown(name: string, value: string | number): void {
  if (existsSync(pathOf(name))) writeSysctl(name, value);
}

/** Dots part the folders, and a slash stands for a dot within a name (`net.ipv4.conf.eth0/100.forwarding`). */
function pathOf(name: string): string {
  return `/proc/sys/${name.replace(/[./]/g, (c) => (c === '.' ? '/' : '.'))}`;
}

const remedies: { readonly [code: string]: string } = {
  ENOENT: 'check the name; a kernel without the feature has no such parameter',
  EACCES: 'run as root, or within a user and network namespace of your own',
  EPERM: 'run as root, or within a user and network namespace of your own',
  EROFS: '/proc/sys is mounted read-only: mount a proc of your own',
};

function refused(name: string, problem: string, cause: unknown): SignalboxError {
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  return new SignalboxError('KERNEL_REFUSED', {
    object: `kernel parameter ${name}`,
    problem: `${problem} (${code})`,
    remedy: remedies[code] ?? 'see which values the parameter takes',
    cause,
  });
}
