import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { identify, isAlive, listChildren, type ProcessIdentity } from '../kernel/process.ts';
import { clusterPaths, makeFolders } from './state.ts';
import { stopCluster } from './stop.ts';

describe('stopCluster', () => {
  test('of a supervisor that does not listen returns when all it had is gone', async () => {
    const home = mkdtempSync(join(tmpdir(), 'signalbox-stop-'));
    onTestFinished(() => rmSync(home, { recursive: true, force: true }));
    const paths = clusterPaths('default', home);
    makeFolders(paths);
    // The first process of a PID namespace has no signal's default action. What it holds takes the kernel a while to end.
    const supervisor = 'for i in $(seq 300); do sleep 1000 & done; echo started; wait';
    const holder = spawn('unshare', ['--pid', '--fork', '--kill-child', '--', 'sh', '-c', supervisor], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    await once(holder.stdout, 'data');
    const known = (pid: number): ProcessIdentity => identify(pid) ?? { pid, startTime: 0 };
    const [first = 0] = listChildren(holder.pid ?? 0);
    const all = [first, ...listChildren(first)].map(known);
    expect(all).toHaveLength(301);
    writeFileSync(paths.record, JSON.stringify({ name: 'default', process: known(holder.pid ?? 0) }));

    expect(await stopCluster(paths, { keepData: true })).toBe('running');
    expect(all.filter(isAlive)).toEqual([]);
  });
});
