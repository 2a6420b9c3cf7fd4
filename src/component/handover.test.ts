import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterEach, describe, expect, it } from 'vitest';
import { bundleTypeScript } from '../../test/run-typescript.ts';
import { noPredecessor, proceed, untilReady } from './handover.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** A successor that does this, with or without the channel of one who started it as such. */
function start(source: string, stdio: 'ipc' | 'ignore' = 'ipc') {
  const child = spawn(process.execPath, ['-'], { stdio: ['pipe', 'pipe', 'inherit', stdio] });
  children.push(child);
  child.stdin?.end(
    bundleTypeScript(`
      import { ownSuccession, tellNotReady } from './src/component/handover.ts';
      import { SignalboxError } from './src/errors/error.ts';
      const say = (text) => process.stdout.write(text + '\\n');
      const succession = ownSuccession();
      say(succession.hasPredecessor ? 'beside' : 'alone');
      ${source}
    `),
  );
  return { child, said: child.stdout === null ? Promise.resolve('') : text(child.stdout) };
}

const timing = { name: 'proxy', timeoutMs: 20_000 };

describe('untilReady', () => {
  it('waits for the successor, which goes on when it is told to proceed', async () => {
    const { child, said } = start(`void succession.ready().then(() => say('proceeds'));`);
    await untilReady(child, timing);
    expect(child.exitCode).toBeNull();
    proceed(child);
    expect(await said).toBe('beside\nproceeds\n');
  });

  it('leaves a successor alone whose starter has gone', async () => {
    const { child, said } = start(`void succession.ready().then(() => say('proceeds'));`);
    await untilReady(child, timing);
    child.disconnect();
    expect(await said).toBe('beside\nproceeds\n');
  });

  it('gives the reason that the successor has', async () => {
    const { child } = start(`
      tellNotReady(new SignalboxError('KERNEL_LACKS_FEATURE', { object: 'ipvs', problem: 'is not there', remedy: 'load it' }));
    `);
    await expect(untilReady(child, timing)).rejects.toMatchObject({
      code: 'KERNEL_LACKS_FEATURE',
      message: 'ipvs is not there: load it [KERNEL_LACKS_FEATURE]',
    });
  });

  it('says so when it ends before it is ready', async () => {
    const { child } = start('process.exit(3);');
    await expect(untilReady(child, timing)).rejects.toThrow(
      /^proxy ended at start \(exit status 3\).*COMPONENT_NOT_READY/,
    );
  });

  it('says so when it takes too long', async () => {
    const { child } = start('setInterval(() => {}, 1000);');
    await expect(untilReady(child, { ...timing, timeoutMs: 50 })).rejects.toThrow(/has not taken over after 0\.05 s/);
  });
});

describe('ownSuccession', () => {
  it('of a process that was started alone has nobody to wait for', async () => {
    const { child, said } = start(`void succession.ready().then(() => say('proceeds'));`, 'ignore');
    await once(child, 'exit');
    expect(await said).toBe('alone\nproceeds\n');
    await noPredecessor.ready();
  });
});
