import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startLoad } from './load.ts';
import { eventually, root, Signalbox } from './signalbox.ts';

const balanced = `
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec:
  type: LoadBalancer
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080}]
`;
const box = new Signalbox();
beforeAll(async () => {
  const manifests = ['-f', join(root, 'examples/hello.yaml'), '-f', box.manifest('balanced.yaml', balanced)];
  await box.must('up', '--nodes', '1', '--proxy-mode', 'ipvs', '--wait', '120s', ...manifests);
});
afterAll(() => box.close());

const onNode = (script: string) => box.must('exec', 'node/node-1', '--', 'sh', '-c', script);
const onClient = (script: string) => box.must('exec', 'client', '--', 'sh', '-c', script);

/** Names of what modes have in the node's kernel. */
async function traces() {
  const listings = ['iptables-save', 'ipset list -n', 'ipvsadm -Sn', 'ip -br link'];
  const script = listings.join(' && echo -- && ');
  const all = await onNode(script);
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

test('signalbox speaker answers for what the node has on its dummy device, and the kernel does not', async () => {
  const inStatus = [
    'get',
    'service',
    'balanced',
    '-o',
    'jsonpath={.status.loadBalancer.ingress[0].ip} {.spec.clusterIP}',
  ];
  const [address = '', clusterIp = ''] = (await box.kubectlMust(...inStatus)).split(' ');
  const onDevice = () => onNode('ip -o address show dev kube-ipvs0');
  await eventually(
    'the address on the device',
    async () => (await onDevice()).includes(` ${address}/32 `) || undefined,
  );
  expect(await onDevice()).toContain(` ${clusterIp}/32 `);

  await eventually('an answer', async () => {
    const answer = await onClient(`curl -sS -m 5 http://${address} || true`);
    return answer === 'Hello Kubernetes!' || undefined;
  });
  const mac = /link\/ether (\S+)/.exec(await onNode('ip -o link show eth1'))?.[1];
  expect(await onClient(`ip -o neighbor show ${address}`)).toContain(` lladdr ${mac} `);
  // The cluster's address is on the same device, and nobody announces it.
  const asked = `ip route add ${clusterIp} dev eth0; curl -sS -m 5 http://${clusterIp} 2>&1 || ip -o neighbor show ${clusterIp}`;
  expect(await onClient(asked)).toMatch(/ (FAILED|INCOMPLETE)\s*$/);
  expect(await box.kubectlMust('describe', 'service', 'balanced')).not.toContain('KernelAnswersARP');

  await onNode('sysctl -qw net.ipv4.conf.all.arp_ignore=0');
  const warning = `KernelAnswersARP .*the kernel of node "node-1" has ${address} on another device and answers for it on eth1`;
  await eventually('a warning', async () => {
    const told = await box.kubectlMust('describe', 'service', 'balanced');
    return new RegExp(warning).test(told) || undefined;
  });
  expect(await onClient(`ip neighbor del ${clusterIp} dev eth0; curl -sS -m 5 http://${clusterIp}`)).toBe(
    'Hello Kubernetes!',
  );
});

const named = `
apiVersion: v1
kind: Node
metadata: {name: other}
---
apiVersion: v1
kind: Service
metadata: {name: named}
spec: {selector: {app: hello}, externalIPs: [192.0.2.77], ports: [{port: 80, targetPort: 8080}]}
`;

test('signalbox proxy leaves the address of another node to it, though a Service names it', async () => {
  const isBound = async () => (await onNode('ip -o address show dev kube-ipvs0')).includes(' 192.0.2.77/32 ');
  await box.kubectlMust('apply', '-f', box.manifest('named.yaml', named));
  await eventually('the address on the device', async () => (await isBound()) || undefined);
  const addresses = { addresses: [{ type: 'InternalIP', address: '192.0.2.77' }] };
  const patch = JSON.stringify({ status: addresses });
  await box.kubectlMust('patch', 'node', 'other', '--subresource=status', '--type=merge', '-p', patch);
  await eventually('the address off the device', async () => !(await isBound()) || undefined);
  expect(await onNode('ipvsadm -Sn')).toContain('-A -t 192.0.2.77:80 ');
  await box.kubectlMust('delete', 'node/other', 'service/named');
});

test('proxy-mode goes from ipvs and comes back to it, no new connection fails, and nothing stays', {
  timeout: 300_000,
}, async () => {
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
