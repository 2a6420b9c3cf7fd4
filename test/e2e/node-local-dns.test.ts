import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { processesOf } from './processes.ts';
import { eventually, root, run, Signalbox } from './signalbox.ts';

const box = new Signalbox();
const address = '169.254.20.10';
let pod = '';

beforeAll(async () => {
  await box.must('up', '--nodes', '1', '--node-local-dns', '-f', join(root, 'examples/hello.yaml'));
  pod = await box.kubectlMust('get', 'pods', '-l', 'app=hello', '-o', 'jsonpath={.items[0].metadata.name}');
});
afterAll(() => box.close());

const inPod = async (...command: string[]) => (await box.run('exec', `pod/${pod}`, '--', ...command)).stdout;
const onNode = (...command: string[]) => box.must('exec', 'node/node-1', '--', ...command);
const helloIp = () => box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.spec.clusterIP}');

const isAnswered = (ip: string, ...question: string[]) =>
  eventually(question.join(' '), async () => {
    expect(await inPod('dig', '+short', ...question)).toBe(`${ip}\n`);
    return true;
  });

describe('signalbox up --node-local-dns', () => {
  test('gives Pods the resolver of their node, and the Service behind it', async () => {
    const lines = (await inPod('cat', '/etc/resolv.conf')).split('\n').filter((line) => line.startsWith('nameserver'));
    expect(lines).toEqual([`nameserver ${address}`, 'nameserver 10.96.0.10']);
    const ip = await helloIp();
    const name = 'hello-service.default.svc.cluster.local';
    // Nobody waits for the node's own server, nor for the rules to the others, before a Pod starts.
    for (const how of [[`@${address}`, '+notcp'], [`@${address}`, '+tcp'], ['@10.96.0.10']])
      await isAnswered(ip, ...how, name);
    expect(await inPod('getent', 'hosts', 'hello-service')).toMatch(new RegExp(`^${ip}\\s`));
    expect(await onNode('nft', 'list', 'table', 'ip', 'nodelocaldns')).toContain('@served notrack');
    const requests = await onNode('curl', '-sS', `http://${address}:9253/metrics`);
    expect(requests).toMatch(new RegExp(`^coredns_dns_requests_total\\{.*server="dns://${address}:53"`, 'm'));
  });

  test('a node agent that is killed is followed by one that goes on', async () => {
    for (const pid of processesOf(box.home)) {
      const { stdout } = await run('cat', [`/proc/${pid}/cmdline`]);
      if (stdout.includes('\0node\0') && stdout.endsWith('components/node-1.json\0')) process.kill(pid, 'SIGKILL');
    }
    const ip = await helloIp();
    const name = 'hello-service.default.svc.cluster.local';
    await isAnswered(ip, `@${address}`, '+tries=1', '+time=1', name);
    expect(await onNode('nft', 'list', 'tables')).toContain('table ip nodelocaldns');
  });

  test('is what the cluster is from then on, until it is told otherwise', async () => {
    const refused = await box.run('up', '--no-node-local-dns');
    expect(refused.status).toBe(1);
    expect(refused.stderr).toMatch(/--node-local-dns .*\[CLUSTER_RUNS_DIFFERENTLY\]/);
    await box.must('down', '--keep-data');
    await box.must('up');
    await eventually(
      'the rules',
      async () => (await onNode('nft', 'list', 'tables')).includes('table ip nodelocaldns') || undefined,
    );
    await box.must('down', '--keep-data');
    await box.must('up', '--no-node-local-dns');
    expect(await onNode('nft', 'list', 'tables')).not.toContain('nodelocaldns');
    // Nobody waits for Pods that no manifest names.
    await eventually('the Pod runs again', async () => {
      const text = await inPod('cat', '/etc/resolv.conf');
      expect(text).toContain('nameserver 10.96.0.10');
      expect(text).not.toContain(address);
      return true;
    });
  });
});
