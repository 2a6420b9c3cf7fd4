import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type RunningContainer, startContainer, startInContainer } from './container.ts';
import { createNetns, deleteNetns, spawnIn } from './netns.ts';
import { connectLoopback } from './netns-connect.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-terminal-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const program = (script: string) => ({
  argv: ['/bin/sh', '-c', script],
  env: { PATH: '/usr/bin:/bin', TERM: 'xterm' },
  workingDir: '/',
});

function container(script: string, streams?: { stdin: boolean; terminal: boolean }): RunningContainer {
  return startContainer({
    ...program(script),
    hostname: 'box',
    mounts: [],
    scratch: folder,
    ...(streams === undefined ? {} : { streams }),
  });
}

function collect(running: RunningContainer): { text: () => string; until: (pattern: RegExp) => Promise<string> } {
  let text = '';
  running.stdout.on('data', (data) => {
    text += data;
  });
  return {
    text: () => text,
    until: async (pattern) => {
      for (let i = 0; i < 2_000 && !pattern.test(text); i++) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(text).toMatch(pattern);
      return text;
    },
  };
}

describe('startContainer with streams', () => {
  test('startContainer gives a program its terminal, of the size it is told, and its controlling one', async () => {
    const running = container(
      'stty -echo; tty; stty size; : > /dev/tty && echo has tty; read a; stty size; echo "<$a>"',
      {
        stdin: true,
        terminal: true,
      },
    );
    const output = collect(running);
    await output.until(/\/dev\/pts\/\d+\r\n0 0\r\nhas tty\r\n/);
    running.resize({ columns: 132, rows: 43 });
    running.stdin?.write('typed\n');
    await output.until(/43 132\r\n<typed>\r\n/);
    expect(await running.exited).toEqual({ exitCode: 0 });
  });

  test('startInContainer has the terminal of its size before the program can ask', async () => {
    const outer = container('sleep 100');
    outer.stdout.resume();
    outer.stderr?.resume();
    const size = { columns: 131, rows: 41 };
    const inner = startInContainer(outer.pid, program('stty size'), { stdin: true, terminal: true, size });
    const output = collect(inner);
    // The program runs and this process does not, as happens on a machine that is busy.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    expect(await inner.exited).toEqual({ exitCode: 0 });
    await output.until(/^41 131\r\n$/);
    outer.kill('SIGKILL');
    await outer.exited;
  });

  test('startContainer ends a program at its terminal by an interrupt that is typed', async () => {
    const running = container('trap "echo caught; exit 5" INT; echo ready; while :; do sleep 0.05; done', {
      stdin: true,
      terminal: true,
    });
    const output = collect(running);
    await output.until(/ready/);
    running.stdin?.write('\u0003');
    expect(await running.exited).toMatchObject({ exitCode: 5 });
    expect(output.text()).toContain('caught');
  });

  test('startContainer passes a megabyte from input to output, and the end of it', async () => {
    const running = container('wc -c', { stdin: true, terminal: false });
    const output = collect(running);
    running.stdin?.end(Buffer.alloc(1 << 20, 'x'));
    expect(await running.exited).toEqual({ exitCode: 0 });
    await output.until(/1048576/);
  });

  test('startContainer without input gives the end of input at once', async () => {
    const running = container('cat; echo done');
    const output = collect(running);
    expect(await running.exited).toEqual({ exitCode: 0 });
    await output.until(/^done\n$/);
  });

  test('startInContainer gives a program a terminal beside a container that has none', async () => {
    const outer = container('sleep 100');
    outer.stdout.resume();
    outer.stderr?.resume();
    const inner = startInContainer(outer.pid, program('hostname; tty; read a; exit $a'), {
      stdin: true,
      terminal: true,
    });
    const output = collect(inner);
    await output.until(/box\r\n\/dev\/pts\//);
    inner.stdin?.write('7\n');
    expect(await inner.exited).toMatchObject({ exitCode: 7 });
    outer.kill('SIGKILL');
    await outer.exited;
  });

  test('a terminal whose program does not read holds nothing up', async () => {
    const written = join(folder, 'written');
    const script = `stty raw -echo; echo go; until [ -e ${written} ]; do sleep 0.05; done; head -c 100000 | wc -c`;
    const running = container(script, {
      stdin: true,
      terminal: true,
    });
    const output = collect(running);
    await output.until(/go/);
    running.stdin?.write(Buffer.alloc(100_000, 'y'));
    // The program does not read before that was taken.
    writeFileSync(written, '');
    await output.until(/100000/);
    expect(await running.exited).toEqual({ exitCode: 0 });
  });
});

describe('connectLoopback', () => {
  test('connectLoopback reaches localhost of a namespace by either family, and says who refuses', async () => {
    const netns = join(folder, 'ns');
    createNetns(netns);
    try {
      const target = (port: number) => ({ netns, port, timeoutMs: 20_000 });
      await expect(connectLoopback(target(81))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
      for (const [port, host] of [
        [82, '127.0.0.1'],
        [83, '::1'],
      ] as const) {
        const script = `require('net').createServer((s) => s.end('hello')).listen(${port}, '${host}', () => console.log(1))`;
        const server = spawnIn(netns, process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
        await new Promise((resolve) => server.stdout?.once('data', resolve));
        const socket = await connectLoopback(target(port));
        const chunks: Buffer[] = [];
        for await (const chunk of socket) chunks.push(chunk);
        expect(String(Buffer.concat(chunks))).toBe('hello');
        socket.destroy();
        server.kill('SIGKILL');
      }
    } finally {
      deleteNetns(netns);
    }
  });
});
