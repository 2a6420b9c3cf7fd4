import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { runTypeScript } from '../../test/run-typescript.ts';
import { identify, isAlive, listChildren, type ProcessIdentity, sendSignal } from './process.ts';

function started(...command: [string, ...string[]]) {
  const [program, ...args] = command;
  const child = spawn(program, args, { stdio: 'ignore' });
  const identity = identify(child.pid ?? 0);
  if (identity === undefined) throw new Error(`${program} did not start`);
  return { child, identity };
}

describe('sendSignal', () => {
  test('reaches the process', async () => {
    const { child, identity } = started('sleep', '60');
    expect(sendSignal(identity, 'SIGTERM')).toBe(true);
    expect(await once(child, 'exit')).toEqual([null, 'SIGTERM']);
    expect(isAlive(identity)).toBe(false);
    expect(sendSignal(identity, 'SIGTERM')).toBe(false);
  });

  test('spares another process with the same number', async () => {
    const { child, identity } = started('sleep', '60');
    const earlier: ProcessIdentity = { pid: identity.pid, startTime: identity.startTime - 1 };
    expect(sendSignal(earlier, 'SIGKILL')).toBe(false);
    expect(isAlive(earlier)).toBe(false);
    expect(isAlive(identity)).toBe(true);
    child.kill('SIGKILL');
    await once(child, 'exit');
  });

  test('is false for one that has ended and waits to be reaped', () => {
    const { identity } = started('true');
    // Node reaps in the event loop, which does not turn here.
    for (const until = Date.now() + 30_000; isAlive(identity) && Date.now() < until; );
    expect(identify(identity.pid)).toEqual(identity);
    expect([isAlive(identity), sendSignal(identity, 'SIGTERM')]).toEqual([false, false]);
  });
});

describe('identify', () => {
  test('is undefined when there is no such process', () => {
    expect(identify(2 ** 30)).toBeUndefined();
  });
});

describe('listChildren', () => {
  test('lists the children that run', async () => {
    const { child, identity } = started('sleep', '60');
    expect(listChildren(process.pid)).toContain(identity.pid);
    expect(listChildren(identity.pid)).toEqual([]);
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(listChildren(process.pid)).not.toContain(identity.pid);
  });

  test('is empty when there is no such process', () => {
    expect(listChildren(2 ** 30)).toEqual([]);
  });
});

describe('OrphanReaper', () => {
  test('reaps orphans that have ended, as PID 1, and leaves running ones and its own children alone', () => {
    // Two grandchildren lose their parent: one ends at once, one lives on. And a child of Node's ends meanwhile.
    const source = `
      import { spawn } from 'node:child_process';
      import { readFileSync } from 'node:fs';
      import { setTimeout } from 'node:timers/promises';
      import { listChildren, OrphanReaper } from './src/kernel/process.ts';
      const state = (pid: number) => /\\) (\\w)/.exec(readFileSync('/proc/' + pid + '/stat', 'utf8'))?.[1];
      const states = () => listChildren(process.pid).map(state).sort().join('');
      // Without a turn of the event loop, in which Node would reap its own.
      const pause = () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
      const untilEnded = () => {
        for (let i = 0; i < 3_000 && states() !== 'SZZ'; i++) pause();
      };
      const parent = spawn('sh', ['-c', 'true & sleep 60 &'], { stdio: 'ignore' });
      parent.on('exit', async () => {
        const own = spawn('true', { stdio: 'ignore' });
        const exited = new Promise((resolve) => own.on('exit', resolve));
        untilEnded();
        const orphans = new OrphanReaper();
        const seen = [states(), orphans.reap().length, states()];
        await setTimeout(10);
        seen.push(orphans.reap().length, states());
        console.log(JSON.stringify({ pid: process.pid, seen, status: await exited }));
        process.exit();
      });`;
    const { stdout, stderr } = runTypeScript(source, ['unshare', '--pid', '--fork', '--mount-proc']);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual({ pid: 1, seen: ['SZZ', 0, 'SZZ', 1, 'S'], status: 0 });
  });
});
