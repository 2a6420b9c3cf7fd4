import { readFileSync, writeFileSync } from 'node:fs';
import { SignalboxError } from '../errors/error.ts';

const path = '/proc/self/oom_score_adj';

/**
 * Sets how readily the kernel ends this process when memory is short: proc_pid_oom_score_adj(5).
 * @param value from -1000 (never) to 1000; less than it was needs privileges
 * @throws SignalboxError `KERNEL_REFUSED`
 */
export function setOomScoreAdj(value: number): void {
  try {
    if (Number(readFileSync(path, 'utf8')) !== value) writeFileSync(path, String(value));
  } catch (cause) {
    throw new SignalboxError('KERNEL_REFUSED', {
      object: path,
      problem: `cannot be set to ${value} (${(cause as NodeJS.ErrnoException).code ?? cause})`,
      remedy: 'run as root of the machine, or ask for a higher value',
      cause,
    });
  }
}
