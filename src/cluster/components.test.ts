import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { soon } from '../../test/soon.ts';
import type { Logger } from '../component/log.ts';
import { type Component, type ComponentSpec, keepRunning } from './components.ts';

const log = { error: () => {} } as unknown as Logger;
const timing = { readyMs: 20_000, graceMs: 5_000 };
const running: Component[] = [];
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-components-'));
});
afterEach(async () => {
  await Promise.all(running.splice(0).map((component) => component.stop(1_000)));
  rmSync(folder, { recursive: true });
});

/** A component that writes down when it begins and when it is asked to end, and does something in between. */
function spec(name: string, source = ''): ComponentSpec {
  const script = `
    const say = (what) => require('node:fs').appendFileSync(${JSON.stringify(join(folder, 'told'))}, '${name} ' + what + '\\n');
    process.once('SIGTERM', () => { say('ends'); process.exit(0); });
    setInterval(() => {}, 1000);
    say('begins');
    ${source}
  `;
  return { name: 'proxy', command: [process.execPath, '-e', script], logFile: join(folder, 'log') };
}

const becomesReady = `
  process.once('message', () => { say('proceeds'); });
  process.send({ handover: 'ready' });
`;

function told(): string[] {
  return readFileSync(join(folder, 'told'), 'utf8').trim().split('\n');
}

async function start(first: ComponentSpec): Promise<Component> {
  const component = keepRunning(first, log);
  running.push(component);
  await soon(() => expect(told()).toEqual(['old begins']));
  return component;
}

describe('keepRunning', () => {
  it('starts again what ends', async () => {
    const component = await start(spec('old'));
    process.kill(component.pid ?? 0, 'SIGKILL');
    await soon(() => expect(told()).toEqual(['old begins', 'old begins']));
    expect(await component.firstEnd).toBe('SIGKILL');
  });

  it('replaces a process by one that is ready before the other is asked to end', async () => {
    const component = await start(spec('old'));
    const before = component.pid;
    await component.replace(spec('new', becomesReady), timing);
    await soon(() => expect(told()).toEqual(['old begins', 'new begins', 'old ends', 'new proceeds']));
    expect(component.pid).not.toBe(before);
    // It is the new one that is kept running from now on.
    process.kill(component.pid ?? 0, 'SIGKILL');
    await soon(() => expect(told().at(-1)).toBe('new begins'));
  });

  it.each([
    ['ends at once', 'process.exit(4);', timing.readyMs, /ended at start \(exit status 4\)/],
    ['does not become ready', '', 500, /has not taken over after 0\.5 s/],
  ])('goes on with the old one when the new one %s', async (_, source, readyMs, message) => {
    const component = await start(spec('old'));
    const before = component.pid;
    await expect(component.replace(spec('new', source), { ...timing, readyMs })).rejects.toThrow(message);
    expect(component.pid).toBe(before);
    expect(told()).not.toContain('old ends');
  });
});
