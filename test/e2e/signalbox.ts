import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The checkout under test. */
export const root = join(dirname(fileURLToPath(import.meta.url)), '../..');

/** How long a command may take: longer than any that waits for something itself. */
const patienceMs = 200_000;

/** What a command printed and how it ended. */
export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a real program to its end. Never rejects for a failure of the program: that is for the test to judge. One that
 * takes too long is killed with all it started in its process group, and its errors end with a line that says so.
 */
export function run(
  command: string,
  args: readonly string[],
  options: {
    readonly env?: NodeJS.ProcessEnv;
    readonly input?: string;
    readonly timeoutMs?: number;
    readonly cwd?: string;
  } = {},
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { ...process.env, ...options.env },
      stdio: 'pipe',
      // A group of its own: what it started would else live on, and hold its output open.
      detached: true,
      ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    });
    let stdout = '';
    let stderr = '';
    const timeoutMs = options.timeoutMs ?? patienceMs;
    const timer = setTimeout(() => {
      stderr += `\nkilled, as it had not ended after ${timeoutMs} ms\n`;
      try {
        if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL');
      } catch {
        // All of the group have ended; somebody else has its output.
      }
      child.stdout.destroy();
      child.stderr.destroy();
    }, timeoutMs);
    child.stdout.on('data', (data) => {
      stdout += data;
    });
    child.stderr.on('data', (data) => {
      stderr += data;
    });
    child.once('error', reject);
    child.once('close', (status) => {
      clearTimeout(timer);
      resolve({ status, stdout, stderr });
    });
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}

/**
 * The command line with a home of its own, so that tests run side by side and never meet the user's clusters. When the
 * test's process ends without `close`, killed or not, its clusters and its home go too.
 */
export class Signalbox {
  readonly home: string;
  readonly #holder: ChildProcess;

  constructor() {
    this.home = mkdtempSync(join(tmpdir(), 'sbx-'));
    this.#holder = spawn(
      process.execPath,
      [join(root, 'test/e2e/holder.mjs'), this.home, join(root, 'bin/signalbox')],
      {
        stdio: ['pipe', 'ignore', 'ignore'],
        detached: true,
      },
    );
    this.#holder.unref();
  }

  get env(): NodeJS.ProcessEnv {
    return { ...process.env, SIGNALBOX_HOME: this.home };
  }

  run(...args: string[]): Promise<Outcome> {
    return this.runWith({}, ...args);
  }

  runWith(options: { readonly input?: string; readonly timeoutMs?: number }, ...args: string[]): Promise<Outcome> {
    return run(process.execPath, [join(root, 'bin/signalbox'), ...args], { env: this.env, ...options });
  }

  /** Runs a command that must succeed; gives what it printed. */
  async must(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.run(...args);
    if (status !== 0) throw new Error(`signalbox ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** A long-running command in the cluster, for streams of requests. */
  start(args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    return spawn(process.execPath, [join(root, 'bin/signalbox'), ...args], { env: this.env, ...options });
  }

  /** The real kubectl against the cluster. */
  async kubectl(...args: string[]): Promise<Outcome> {
    return run('kubectl', args, { env: { ...this.env, KUBECONFIG: join(this.home, 'clusters/default/kubeconfig') } });
  }

  /** As `kubectl`, and it must succeed. */
  async kubectlMust(...args: string[]): Promise<string> {
    const { status, stdout, stderr } = await this.kubectl(...args);
    if (status !== 0) throw new Error(`kubectl ${args.join(' ')} ended with ${status}: ${stderr}${stdout}`);
    return stdout;
  }

  /** Writes a manifest; gives its path. */
  manifest(name: string, text: string): string {
    const path = join(this.home, name);
    writeFileSync(path, text);
    return path;
  }

  /** Takes every cluster down and removes the home. */
  async close(): Promise<void> {
    const { status, stderr } = await this.run('down', '--all');
    rmSync(this.home, { recursive: true, force: true });
    this.#holder.stdin?.end();
    if (status !== 0) throw new Error(`signalbox down --all ended with ${status}: ${stderr}`);
  }
}

/** Tries until it gives something other than `undefined`, or the time is over. */
export async function eventually<T>(
  what: string,
  attempt: () => Promise<T | undefined>,
  timeoutMs = 60_000,
): Promise<T> {
  const until = Date.now() + timeoutMs;
  let last: unknown;
  while (Date.now() < until) {
    try {
      const result = await attempt();
      if (result !== undefined) return result;
    } catch (error) {
      last = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`not within ${timeoutMs} ms: ${what}${last === undefined ? '' : ` (${last})`}`);
}
