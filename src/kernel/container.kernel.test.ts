import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { build } from 'esbuild';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type ContainerSpec, execInContainer, type RunningContainer, startContainer } from './container.ts';
import { listMounts } from './mounts.ts';
import { createNetns, deleteNetns, netnsIdentity } from './netns.ts';

const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
let folder: string;
let scratches = 0;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-container-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function spec(argv: readonly string[], rest: Partial<ContainerSpec> = {}): ContainerSpec {
  const scratch = join(folder, `scratch-${scratches++}`);
  mkdirSync(scratch);
  return { argv, env: { PATH: path }, workingDir: '/', hostname: 'pod-a', mounts: [], scratch, ...rest };
}

async function outcome(container: RunningContainer) {
  const [stdout, stderr, exit] = await Promise.all([
    text(container.stdout),
    container.stderr === undefined ? '' : text(container.stderr),
    container.exited,
  ]);
  return { stdout, stderr, exit };
}

function shell(script: string, rest: Partial<ContainerSpec> = {}) {
  return outcome(startContainer(spec(['sh', '-c', script], rest)));
}

function file(name: string, content: string): string {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
}

function isRunning(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

async function until(condition: () => boolean): Promise<void> {
  const end = Date.now() + 40_000;
  while (!condition()) {
    if (Date.now() > end) throw new Error(`not within 40 s: ${condition}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

describe('startContainer', () => {
  it('startContainer runs the program as process 1 with its own host name, processes and working directory', async () => {
    // Counted by the shell itself: of a pipeline one part may have ended before the next one is there.
    const { stdout, exit } = await shell('echo $$ $(hostname) $(pwd); set -- /proc/[0-9]*; echo $#', {
      workingDir: '/usr',
    });
    expect(exit).toEqual({ exitCode: 0 });
    expect(stdout).toBe('1 pod-a /usr\n1\n');
    expect(hostname()).not.toBe('pod-a');
  });

  it('startContainer passes exactly the environment given, whatever characters the names have', async () => {
    const env = { PATH: path, 'my.odd-name': 'a b\nc=d', EMPTY: '', HOME: '/x' };
    const { stdout } = await outcome(startContainer(spec(['env', '-0'], { env })));
    expect(
      Object.fromEntries(
        stdout
          .split('\0')
          .filter(Boolean)
          .map((line) => line.split(/=(.*)/s)),
      ),
    ).toEqual(env);
  });

  it('startContainer passes arguments unread by any shell', async () => {
    const args = ['$(id)', '`id`', '; id', '--', '-x', "it's", 'a\nb', ''];
    const { stdout } = await outcome(startContainer(spec(['printf', '%s|', ...args])));
    expect(stdout).toBe(`${args.join('|')}|`);
  });

  it('startContainer shows files at their targets, read-only where told, and only to the container', async () => {
    const resolvConf = file('resolv.conf', 'nameserver 10.96.0.10\n');
    const before = readFileSync('/etc/resolv.conf', 'utf8');
    const mountsBefore = listMounts();
    const { stdout, stderr } = await shell('cat /etc/resolv.conf; echo x > /etc/resolv.conf', {
      mounts: [{ source: resolvConf, target: '/etc/resolv.conf', readOnly: true }],
    });
    expect(stdout).toBe('nameserver 10.96.0.10\n');
    expect(stderr).toMatch(/read-only file system/i);
    expect(readFileSync('/etc/resolv.conf', 'utf8')).toBe(before);
    expect(listMounts()).toEqual(mountsBefore);
  });

  it('startContainer makes mount points the host does not have, at any depth, and leaves the host as it is', async () => {
    mkdirSync(join(folder, 'data'));
    file('data/key', 'value\n');
    const mounts = ['/sbx-data', '/sbx-deep/a/b', '/etc/sbx-config', '/usr/share/sbx/x'].map((target) => ({
      source: join(folder, 'data'),
      target,
      readOnly: false,
    }));
    const targets = mounts.map((m) => `${m.target}/key`).join(' ');
    const script = `cat ${targets}; cat /etc/passwd | head -c 4; ls -d /bin /usr/bin/env /proc/1; echo new > /sbx-data/new`;
    const { stdout, stderr, exit } = await shell(script, { mounts });
    expect({ stdout, stderr, exit }).toEqual({
      stdout: 'value\nvalue\nvalue\nvalue\nroot/bin\n/proc/1\n/usr/bin/env\n',
      stderr: '',
      exit: { exitCode: 0 },
    });
    expect(readFileSync(join(folder, 'data/new'), 'utf8')).toBe('new\n');
    for (const { target } of mounts) expect(existsSync(target)).toBe(false);
  });

  it('startContainer mounts a volume within a volume', async () => {
    mkdirSync(join(folder, 'outer'));
    mkdirSync(join(folder, 'inner'));
    file('inner/i', 'inner\n');
    const { stdout } = await shell('cat /sbx/in/i; echo o > /sbx/o', {
      mounts: [
        { source: join(folder, 'inner'), target: '/sbx/in', readOnly: true },
        { source: join(folder, 'outer'), target: '/sbx', readOnly: false },
      ],
    });
    expect(stdout).toBe('inner\n');
    expect(readFileSync(join(folder, 'outer/o'), 'utf8')).toBe('o\n');
  });

  it('startContainer gives pipes, so that /dev/stdout and /dev/stderr can be opened', async () => {
    const { stdout, stderr } = await shell('echo out > /dev/stdout; echo err > /dev/stderr');
    expect({ stdout, stderr }).toEqual({ stdout: 'out\n', stderr: 'err\n' });
  });

  it('startContainer enters the network namespace, and keeps no other one alive', async () => {
    const own = join(folder, 'own');
    const other = join(folder, 'other');
    createNetns(own);
    createNetns(other);
    try {
      const container = startContainer(
        spec(['sh', '-c', 'readlink /proc/self/ns/net; grep -c nsfs /proc/self/mounts'], { netns: own }),
      );
      const { stdout } = await outcome(container);
      expect(stdout).toBe(`net:[${netnsIdentity(own).split(':')[1]}]\n0\n`);
      expect(netnsIdentity()).not.toBe(netnsIdentity(own));
    } finally {
      deleteNetns(own);
      deleteNetns(other);
    }
  });

  it.each([
    [['no-such-program'], /exec: "no-such-program" no such file or directory in PATH/],
    [['/no/such'], /exec: "\/no\/such" no such file or directory: /],
    [['/etc/passwd'], /permission denied/],
  ])('startContainer says why %j cannot be run', (argv, message) => {
    const home = readlinkSync('/proc/self/ns/mnt');
    expect(() => startContainer(spec(argv))).toThrow(message);
    expect(readlinkSync('/proc/self/ns/mnt')).toBe(home);
  });

  it('startContainer refuses a working directory or mount source that is not there', () => {
    expect(() => startContainer(spec(['true'], { workingDir: '/no/such' }))).toThrow(/\/no\/such is not a folder/);
    const mounts = [{ source: '/no/such', target: '/mnt', readOnly: false }];
    expect(() => startContainer(spec(['true'], { mounts }))).toThrow(/mount of \/no\/such at \/mnt failed/);
  });

  it('startContainer tells a program that was never reached from one that failed', async () => {
    const user = { uid: Number.NaN, gid: 0, supplementalGroups: [] };
    const { exit } = await outcome(startContainer(spec(['true'], { user })));
    expect(exit.startFailure).toMatch(/^setpriv: .*[^\n]$/);
    expect((await shell('echo oops >&2; exit 127')).exit).toEqual({ exitCode: 127 });
  });

  it('startContainer tells exit codes and signals', async () => {
    expect((await shell('exit 7')).exit).toEqual({ exitCode: 7 });
    const container = startContainer(spec(['sleep', '100']));
    container.kill('SIGKILL');
    expect(await container.exited).toEqual({ exitCode: 137, signal: 9 });
  });

  it('startContainer: SIGTERM reaches a program that handles it, and SIGKILL ends all it started', async () => {
    const container = startContainer(spec(['sh', '-c', 'sleep 1000 & trap "echo bye; exit 3" TERM; echo up; wait']));
    await new Promise((resolve) => container.stdout.once('data', resolve));
    container.kill('SIGTERM');
    expect(await outcome(container)).toMatchObject({ stdout: 'bye\n', exit: { exitCode: 3 } });

    const stubborn = startContainer(spec(['sh', '-c', 'trap "" TERM; sleep 1000 & echo up; sleep 1000']));
    await new Promise((resolve) => stubborn.stdout.once('data', resolve));
    stubborn.kill('SIGTERM');
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(isRunning(stubborn.pid)).toBe(true);
    stubborn.kill('SIGKILL');
    expect((await outcome(stubborn)).exit).toEqual({ exitCode: 137, signal: 9 });
  });
});

describe('execInContainer', () => {
  it('execInContainer runs in the namespaces of the container, with environment, output and exit code', async () => {
    const hosts = file('hosts', '10.244.1.2 pod-a\n');
    const container = startContainer(
      spec(['sleep', '100'], { mounts: [{ source: hosts, target: '/etc/hosts', readOnly: false }] }),
    );
    const program = { env: { PATH: path, WHO: 'me' }, workingDir: '/usr' };
    const limits = { timeoutMs: 40_000, maxOutputBytes: 1000 };
    const script = 'echo $WHO $(hostname) $(pwd); cat /etc/hosts; tr "\\0" " " < /proc/1/cmdline; exit 4';
    await until(() => readFileSync(`/proc/${container.pid}/cmdline`, 'utf8').startsWith('/usr/bin/sleep'));
    const result = await execInContainer(container.pid, { ...program, argv: ['sh', '-c', script] }, limits);
    expect(result.output).toMatch(/^me pod-a \/usr\n10\.244\.1\.2 pod-a\n\/usr\/bin\/sleep 100 /);
    expect(result).toMatchObject({ exitCode: 4, timedOut: false });

    const long = await execInContainer(
      container.pid,
      { ...program, argv: ['yes'] },
      { timeoutMs: 3_000, maxOutputBytes: 10 },
    );
    expect(long).toEqual({ exitCode: 137, output: 'y\ny\ny\ny\ny\n', timedOut: true });
    container.kill('SIGKILL');
    await container.exited;
    await expect(execInContainer(container.pid, { ...program, argv: ['true'] }, limits)).rejects.toThrow();
  });
});

describe('a container', () => {
  it('a container dies with the process that started it, even by kill -9', async () => {
    const bundle = join(folder, 'agent.mjs');
    await build({
      stdin: {
        contents: `
          import { startContainer } from ${JSON.stringify(join(import.meta.dirname, 'container.ts'))};
          const c = startContainer({ argv: ['sh', '-c', 'sleep 1000 & echo up; sleep 1000'], env: { PATH: '${path}' },
            workingDir: '/', hostname: 'x', mounts: [], scratch: ${JSON.stringify(folder)} });
          c.stdout.once('data', () => process.stdout.write(c.pid + '\\n'));`,
        resolveDir: import.meta.dirname,
      },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: bundle,
      alias: { koffi: join(import.meta.dirname, '../../node_modules/koffi/index.js') },
      external: ['*.node', '/*/koffi/index.js'],
    });
    const agent = spawn(process.execPath, [bundle], { stdio: ['ignore', 'pipe', 'inherit'] });
    const pid = Number(await firstLine(agent));
    const inner = childrenOf(pid);
    expect(inner.length).toBeGreaterThan(0);
    expect([pid, ...inner].every(isRunning)).toBe(true);
    agent.kill('SIGKILL');
    await until(() => ![pid, ...inner].some(isRunning));
  });
});

function firstLine(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    child.stdout?.once('data', (chunk) => resolve(String(chunk).trim()));
    child.once('exit', (code) => reject(new Error(`ended with ${code}`)));
  });
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/stat`, 'utf8')
          .replace(/^.*\) \S /s, '')
          .startsWith(`${parent} `);
      } catch {
        return false;
      }
    });
}
