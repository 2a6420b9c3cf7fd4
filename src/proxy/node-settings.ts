import type { Logger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import { setOomScoreAdj } from '../kernel/oom-score.ts';
import { readSysctl, writeSysctl } from '../kernel/sysctl.ts';
import type { SysctlSetting } from './config/conntrack.ts';
import type { ProxyConfig } from './config.ts';

/** What the settings are made with; for tests. */
export interface NodeSettingsKernel {
  readonly readSysctl: (name: string) => string;
  readonly writeSysctl: (name: string, value: number) => void;
  readonly setOomScoreAdj: (value: number) => void;
}

const ownKernel: NodeSettingsKernel = { readSysctl, writeSysctl, setOomScoreAdj };

/**
 * Sets what KubeProxyConfiguration says of the process and of connection tracking. What this process may not set, as
 * in a container or a user namespace, stays as it is: all of that is told in one line of the log, and Services are
 * served all the same.
 */
export function applyNodeSettings(
  { conntrack, oomScoreAdj }: Pick<ProxyConfig, 'conntrack' | 'oomScoreAdj'>,
  log: Logger,
  kernel: NodeSettingsKernel = ownKernel,
): void {
  const errors = [
    ...conntrack.map((setting) => refusal(() => setSysctl(setting, kernel))),
    refusal(() => kernel.setOomScoreAdj(oomScoreAdj)),
  ].filter((error) => error !== undefined);
  if (errors.length === 0) return;
  log.warn(
    { refused: errors.map(({ message }) => message) },
    'some settings of the node could not be made and stay as they are',
  );
}

/** One that has the value already is not written: that it may not be written does not matter then. */
function setSysctl({ name, value, orMore }: SysctlSetting, kernel: NodeSettingsKernel): void {
  const current = Number(kernel.readSysctl(name));
  if (current === value || (orMore === true && current > value)) return;
  kernel.writeSysctl(name, value);
}

function refusal(work: () => void): SignalboxError | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof SignalboxError) return error;
    throw error;
  }
}
