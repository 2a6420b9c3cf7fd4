import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import { enterCommand, locate, type Place, parseTarget, type Target } from '../cluster/enter.ts';
import { type ClusterPaths, requireRunning } from '../cluster/state.ts';
import { exitStatus } from './report.ts';

/** Runs a command where the target is, with this terminal; ends with the command's own exit status. */
export async function exec(options: {
  readonly target: string;
  readonly command: readonly string[];
  readonly name: string;
  readonly container?: string;
}): Promise<void> {
  const target = parseTarget(options.target, options.container);
  if (target === undefined) {
    console.error(`signalbox: ${options.target} is no target: give pod/NAME[.NAMESPACE], node/NAME or client`);
    process.exitCode = exitStatus.wrongUsage;
    return;
  }
  const { paths, record } = requireRunning(options.name);
  const place = await placeOf(paths, target);
  const [program = '', ...args] = [...enterCommand(paths, record, place), ...options.command];
  const child = spawn(program, args, { stdio: 'inherit' });
  // What a terminal sends goes to the whole group: the command gets it, and its end is ours.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => child.kill(signal));
  process.exitCode = await new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal])));
  });
}

async function placeOf(paths: ClusterPaths, target: Target): Promise<Place> {
  if (target.kind !== 'pod') return target;
  const client = connect(await loadKubeconfig(paths.kubeconfig));
  try {
    return await locate(client, target);
  } finally {
    client.close();
  }
}
