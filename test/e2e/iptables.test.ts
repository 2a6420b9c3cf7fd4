import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startLoad } from './load.ts';
import { eventually, root, Signalbox } from './signalbox.ts';

const example = (name: string) => join(root, 'examples', name);
let box: Signalbox;
beforeEach(() => {
  box = new Signalbox();
});
afterEach(() => box.close());

const sticky = `
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec:
  selector: {app: sticky}
  sessionAffinity: ClientIP
  ports: [{port: 80, targetPort: 9376}]
---
apiVersion: apps/v1
kind: ReplicaSet
metadata: {name: sticky}
spec:
  replicas: 3
  selector: {matchLabels: {app: sticky}}
  template:
    metadata: {labels: {app: sticky}}
    spec:
      containers:
      - {name: web, image: registry.k8s.io/e2e-test-images/agnhost:2.53, args: [netexec, --http-port=9376]}
`;

/** Asks until a new endpoint has reached the node; then what comes back. */
function ask(from: string, url: string): Promise<string> {
  return eventually(`${url} from ${from}`, async () => {
    const { status, stdout } = await box.run('exec', from, '--', 'curl', '-sS', '-m', '10', url);
    return status === 0 ? stdout : undefined;
  });
}

function serviceIp(name: string): Promise<string> {
  return box.kubectlMust('get', 'service', name, '-o', 'jsonpath={.spec.clusterIP}');
}

describe('up --proxy-mode iptables', () => {
  test('serves cluster IPs, node ports, external IPs and clients that stay, by rules that people know', async () => {
    const manifests = ['hello.yaml', 'nodeport.yaml', 'external-ip.yaml'].flatMap((name) => ['-f', example(name)]);
    await box.must('up', '--proxy-mode', 'iptables', ...manifests, '-f', box.manifest('sticky.yaml', sticky));
    const pod = `pod/${await box.kubectlMust('get', 'pods', '-l', 'app=hello', '-o', 'jsonpath={.items[0].metadata.name}')}`;
    expect(await ask(pod, 'http://hello-service')).toBe('Hello Kubernetes!');
    expect(await ask('node/node-2', `http://${await serviceIp('hello-service')}`)).toBe('Hello Kubernetes!');
    expect(await ask('client', 'http://192.168.101.5:30080')).toBe('Hello Kubernetes!');
    expect(await ask('node/node-2', 'http://127.0.0.1:30080')).toBe('Hello Kubernetes!');
    expect(await ask('client', 'http://192.168.102.4:34080')).toBe('Hello Kubernetes!');
    const url = `http://${await serviceIp('sticky')}/hostname`;
    const first = await ask(pod, url);
    for (let i = 0; i < 10; i++) expect(await ask(pod, url)).toBe(first);
    const rules = await box.must('exec', 'node/node-1', '--', 'iptables-save', '-t', 'nat');
    expect(rules).toContain('KUBE-SVC-WR2LASOULGGSX3JN -m comment --comment "default/hello-service -> ');
    expect(rules).toMatch(/^-A KUBE-SERVICES .*-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS$/m);
    expect(rules).toContain('-m recent --rcheck --seconds 10800 --reap --name KUBE-SEP-');
  });
});

describe('proxy-mode', () => {
  test('to iptables and back leaves no rule behind, and no new connection fails meanwhile', async () => {
    await box.must('up', '-f', example('hello.yaml'));
    const load = await startLoad(box, `http://${await serviceIp('hello-service')}`, { perSecond: 50 });
    const saved = () => box.must('exec', 'node/node-1', '--', 'iptables-save');
    const tables = () => box.must('exec', 'node/node-1', '--', 'nft', 'list', 'tables');
    await box.must('proxy-mode', 'iptables');
    expect(await saved()).toContain('KUBE-SVC-WR2LASOULGGSX3JN');
    // The new proxy clears up when it is alone.
    await eventually('no table is left', async () => !(await tables()).includes('signalbox') || undefined);
    await box.must('proxy-mode', 'nftables');
    expect(await tables()).toContain('table ip signalbox');
    await eventually('no chain is left', async () => !(await saved()).includes('KUBE-') || undefined);
    expect(await load.end()).toEqual({ 'status 200': expect.any(Number) });
  });
});
