import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { startLoad } from './load.ts';
import { root, Signalbox } from './signalbox.ts';

const hello = join(root, 'examples/hello.yaml');
let box: Signalbox;
beforeEach(() => {
  box = new Signalbox();
});
afterEach(() => box.close());

/** Names of what modes have in the node's kernel. */
async function traces() {
  const listings = ['iptables-save', 'ipset list -n', 'ipvsadm -Sn', 'ip -br link'];
  const script = listings.join(' && echo -- && ');
  const all = await box.must('exec', 'node/node-1', '--', 'sh', '-c', script);
  const [rules = '', sets = '', servers = '', links = ''] = all.split('--\n');
  let table = '';
  const chains: string[] = [];
  for (const [, begins, chain] of rules.matchAll(/^\*(\w+)|^:(KUBE-\S+)/gm)) {
    if (begins !== undefined) table = begins;
    else chains.push(`${table} ${chain}`);
  }
  return {
    chains: chains.sort(),
    sets: sets.split('\n').filter((name) => name.startsWith('KUBE-')),
    servers: servers.split('\n').filter((line) => line.startsWith('-A ')),
    devices: links.split('\n').filter((line) => line.startsWith('kube-ipvs0')),
  };
}

test('proxy-mode goes from ipvs and comes back to it, no new connection fails, and nothing stays', {
  timeout: 300_000,
}, async () => {
  await box.must('up', '--nodes', '1', '--proxy-mode', 'ipvs', '--wait', '120s', '-f', hello);
  const ip = await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.spec.clusterIP}');
  const load = await startLoad(box, `http://${ip}`, { perSecond: 10, timeoutMs: 20_000 });
  const first = await traces();
  expect(first.servers.join('\n')).toContain(`-A -t ${ip}:80 -s rr`);
  expect(first.sets).toContain('KUBE-CLUSTER-IP');

  const moved = await box.runWith({ timeoutMs: 200_000 }, 'proxy-mode', 'iptables');
  expect(moved).toMatchObject({ status: 0 });
  const inIptables = async () => {
    const { chains, ...rest } = await traces();
    return {
      ...rest,
      ofIpvs: chains.filter((name) => /^mangle KUBE-(?!PROXY-CANARY)|KUBE-IPVS|KUBE-NODE-PORT$/.test(name)),
    };
  };
  await expect
    .poll(inIptables, { timeout: 60_000, interval: 1_000 })
    .toEqual({ sets: [], servers: [], devices: [], ofIpvs: [] });
  expect((await traces()).chains.join('\n')).toMatch(/^nat KUBE-SVC-/m);

  const back = await box.runWith({ timeoutMs: 200_000 }, 'proxy-mode', 'ipvs');
  expect(back).toMatchObject({ status: 0 });
  await expect
    .poll(() => traces().then(({ chains }) => chains), { timeout: 60_000, interval: 1_000 })
    .toEqual(first.chains);
  const outcomes = await load.end();
  expect(outcomes).toEqual({ 'status 200': expect.any(Number) });
  expect(outcomes['status 200']).toBeGreaterThan(50);
});
