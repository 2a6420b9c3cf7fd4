import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const signalbox = join(process.cwd(), 'bin/signalbox');

/** A cluster with a home of its own, driven by the real command line. */
export class BenchCluster {
  readonly home = mkdtempSync(join(tmpdir(), 'sbx-bench-'));
  readonly kubeconfig = join(this.home, 'clusters/default/kubeconfig');

  /** Runs a command that must succeed; gives what it printed. */
  run(...args: string[]): string {
    const env = { ...process.env, SIGNALBOX_HOME: this.home };
    const { status, stdout, stderr } = spawnSync(process.execPath, [signalbox, ...args], { env, encoding: 'utf8' });
    if (status !== 0) throw new Error(`signalbox ${args.join(' ')} ended with ${status}: ${stderr}`);
    return stdout;
  }

  /** All processes of the cluster, from the one outside that holds its namespaces on. */
  processes(): { readonly pid: number; readonly command: string; readonly pssKib: number }[] {
    const { process: holder } = JSON.parse(readFileSync(join(this.home, 'clusters/default/cluster.json'), 'utf8'));
    return family(holder.pid).map((pid) => ({ pid, command: commandOf(pid), pssKib: pssOf(pid) }));
  }

  close(): void {
    this.run('down', '--all');
    rmSync(this.home, { recursive: true, force: true });
  }
}

function family(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  return [pid, ...children.flatMap(family)];
}

function commandOf(pid: number): string {
  const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  const program = words.findIndex((word) => /\.c?js$/.test(word));
  const name = words[program]?.split('/').pop() ?? words[0]?.split('/').pop() ?? '';
  // A component is known by its subcommand, anything else by its program.
  return name === 'signalbox.cjs' ? (words[program + 1] ?? '') : name;
}

/** Proportional set size: memory shared by several processes counts once in the sum over them. */
function pssOf(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? 0);
}

/** Middle, least and most of some figures. */
export function summary(values: readonly number[]): {
  readonly median: number;
  readonly min: number;
  readonly max: number;
} {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
  };
}
