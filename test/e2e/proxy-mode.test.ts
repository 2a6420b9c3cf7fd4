import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { proxyModes } from '../../src/proxy/proxy-mode.ts';
import { startLoad } from './load.ts';
import { eventually, root, Signalbox } from './signalbox.ts';

const hello = join(root, 'examples/hello.yaml');
let box: Signalbox;
beforeEach(() => {
  box = new Signalbox();
});
afterEach(() => box.close());

const nodes = ['node-1', 'node-2', 'node-3'];

/** What a node's proxy says of itself. */
function modeOf(node: string): Promise<string> {
  return box.must(
    'exec',
    `node/${node}`,
    '--',
    'curl',
    '-sS',
    '--retry',
    '5',
    '--retry-connrefused',
    'http://127.0.0.1:10249/proxyMode',
  );
}

/** Why this machine cannot do a mode; nothing when it can. */
const lacking = /\[(KERNEL_LACKS_\w+|IPTABLES_ABSENT)\]/;

describe('proxy-mode', () => {
  test('moves every node, and no new connection fails meanwhile', { timeout: 300_000 }, async () => {
    await box.must('up', '-f', hello);
    const ip = await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.spec.clusterIP}');
    const loads = [
      await startLoad(box, `http://${ip}`, { perSecond: 50 }),
      await startLoad(box, `http://${ip}`, { perSecond: 20, from: 'node/node-2' }),
    ];
    let current = 'nftables';
    for (const mode of [...proxyModes.filter((each) => each !== current), current]) {
      const { status, stdout, stderr } = await box.runWith({ timeoutMs: 200_000 }, 'proxy-mode', mode);
      if (status !== 0) expect(stderr).toMatch(lacking);
      else {
        current = mode;
        for (const node of nodes) expect(stdout).toContain(`${node} is in proxy mode ${mode}.`);
      }
      expect(await Promise.all(nodes.map(modeOf))).toEqual([current, current, current]);
      expect(await box.must('status')).toContain(`proxy mode ${current}`);
    }
    for (const load of loads) {
      const outcomes = await load.end();
      expect(outcomes).toEqual({ 'status 200': expect.any(Number) });
      expect(outcomes['status 200']).toBeGreaterThan(50);
    }
    // The new proxy clears up when it is alone.
    await eventually('nothing of the other modes is left', async () => {
      const left = await box.must('exec', 'node/node-1', '--', 'nft', 'list', 'ruleset');
      expect(left).not.toMatch(/userspace|KUBE-/);
      return true;
    });
  });

  test('is remembered by the next up, and no other mode is asked for', async () => {
    await box.must('up', '--nodes', '1');
    await box.must('proxy-mode', 'userspace');
    expect(await box.must('up')).toContain('runs already');
    await box.must('down', '--keep-data');
    await box.must('up');
    expect(await modeOf('node-1')).toBe('userspace');
  });

  test('is refused by up, before anything is started, where the machine lacks the mode', async () => {
    for (const mode of proxyModes) {
      const { status, stderr } = await box.runWith({ timeoutMs: 100_000 }, 'up', '--nodes', '1', '--proxy-mode', mode);
      if (status !== 0) {
        expect(stderr).toMatch(lacking);
        expect(existsSync(join(box.home, 'clusters/default/components/apiserver.log'))).toBe(false);
      } else expect(await modeOf('node-1')).toBe(mode);
      await box.must('down');
    }
  });

  test('refuses what is no mode, and a cluster that does not run', async () => {
    expect(await box.run('proxy-mode', 'magic')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/proxy mode magic is not supported: choose from: nftables,.*\[INVALID_CONFIG\]/),
    });
    expect(await box.run('proxy-mode', 'userspace')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('[CLUSTER_NOT_RUNNING]'),
    });
  });
});

describe('proxy --cleanup', () => {
  test('removes what proxies left in a network namespace and nothing else, and says what', async () => {
    await box.must('up', '--nodes', '1');
    const node = (...command: string[]) => box.must('exec', 'node/node-1', '--', ...command);
    await node('nft', 'add', 'table', 'ip', 'somebody');
    const command = [process.execPath, join(root, 'bin/signalbox'), 'proxy', '--cleanup'];
    const powerless = ['setpriv', '--bounding-set=-net_admin', '--inh-caps=-net_admin', ...command];
    expect(await box.run('exec', 'node/node-1', '--', ...powerless)).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/nftables: proxy mode nftables may not be used .*CAP_NET_ADMIN \[KERNEL_REFUSED\]/),
    });
    const cleanup = () => node(...command);
    expect(await cleanup()).toContain('nftables: removed table ip signalbox\n');
    expect(await node('nft', 'list', 'tables')).toContain('table ip somebody');
  });
});
