import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { eventually, root, Signalbox } from './signalbox.ts';

let box: Signalbox;
beforeEach(() => {
  box = new Signalbox();
});
afterEach(() => box.close());

const bothFamilies = `
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  type: NodePort
  ipFamilyPolicy: PreferDualStack
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080, nodePort: 30081}]
`;

/** Starts a cluster with the Service; gives a Pod of it, and its cluster IPs. */
async function start(family: string): Promise<{ pod: string; ips: string[] }> {
  const manifest = box.manifest('both.yaml', bothFamilies);
  await box.must('up', '--ip-family', family, '-f', `${root}/examples/hello.yaml`, '-f', manifest);
  const jsonpath = async (what: string, path: string) =>
    box.kubectlMust('get', ...what.split(' '), '-o', `jsonpath={${path}}`);
  return {
    pod: await jsonpath('pods -l app=hello', '.items[0].metadata.name'),
    ips: (await jsonpath('service both', '.spec.clusterIPs[*]')).split(' '),
  };
}

const urlOf = (ip: string, port = 80) => `http://${ip.includes(':') ? `[${ip}]` : ip}:${port}`;

/** Asks until a new endpoint has reached all nodes; then what comes back. */
function ask(from: string, url: string, ...options: string[]): Promise<string> {
  return eventually(`${url} from ${from}`, async () => {
    const { status, stdout } = await box.run('exec', from, '--', 'curl', '-sS', '-m', '10', ...options, url);
    return status === 0 ? stdout : undefined;
  });
}

describe('up --ip-family', () => {
  test('dual: nodes, Pods, Services, names and node ports in both families', async () => {
    const { pod, ips } = await start('dual');
    expect(ips.map((ip) => ip.includes(':'))).toEqual([false, true]);
    for (const ip of ips)
      for (const from of [`pod/${pod}`, 'node/node-2']) expect(await ask(from, urlOf(ip))).toBe('Hello Kubernetes!');
    for (const option of ['-4', '-6']) expect(await ask(`pod/${pod}`, 'http://both', option)).toBe('Hello Kubernetes!');
    for (const ip of ['192.168.101.5', 'fd00:192:168:101::5', '192.168.102.3', 'fd00:192:168:102::3'])
      expect(await ask('client', urlOf(ip, 30081))).toBe('Hello Kubernetes!');
    const node = JSON.parse(await box.kubectlMust('get', 'node', 'node-2', '-o', 'json'));
    expect(node.spec.podCIDRs).toEqual(['10.244.2.0/24', 'fd00:10:244:2::/64']);
    const podIps = await box.kubectlMust('get', 'pod', pod, '-o', 'jsonpath={.status.podIPs[*].ip}');
    expect(podIps).toMatch(/^10\.244\.\d\.\d+ fd00:10:244:\d::\w+$/);
    // As in every cluster, the API's own Service has the first family alone.
    const kubernetes = await box.kubectlMust('get', 'service', 'kubernetes', '-o', 'jsonpath={.spec.clusterIPs[*]}');
    expect(kubernetes).toBe('10.96.0.1');
  });

  test('ipv6: everything has IPv6 alone', async () => {
    const { pod, ips } = await start('ipv6');
    expect(ips).toEqual([expect.stringMatching(/^fd00:10:96::/)]);
    expect(await ask(`pod/${pod}`, 'http://both')).toBe('Hello Kubernetes!');
    expect(await ask('client', urlOf('fd00:192:168:101::4', 30081))).toBe('Hello Kubernetes!');
    expect(
      await box.kubectlMust(
        'get',
        'nodes',
        '-o',
        'jsonpath={.items[*].status.addresses[?(@.type=="InternalIP")].address}',
      ),
    ).not.toContain('192.168');
    // kubectl reaches the node's own API and the Pod through it.
    expect(await box.kubectlMust('exec', pod, '--', '/bin/echo', 'here')).toBe('here\n');
    await box.must('down', '--keep-data');
    expect(await box.run('up', '--ip-family', 'dual')).toMatchObject({
      status: 1,
      stderr: expect.stringMatching(/is not what cluster default was made with \(ipv6\)/),
    });
  });
});
