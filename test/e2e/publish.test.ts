import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { processesOf } from './processes.ts';
import { eventually, root, run, Signalbox } from './signalbox.ts';

const box = new Signalbox();
const given = new Set<number>();
/** Ports of this machine that nobody has: node ports are looked for under their number here. */
const http = await free();
const udp = await free();
const other = await free();
let shown = '';

beforeAll(async () => {
  shown = await box.must(
    ...['up', '--publish', '--nodes', '2', '-f', join(root, 'examples/hello.yaml')],
    ...['-f', box.manifest('published.yaml', published(http, udp))],
  );
});
afterAll(() => box.close());

const published = (http: number, udp: number) => `
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec:
  type: LoadBalancer
  selector: {app: hello}
  ports: [{name: web, port: 80, targetPort: 8080}, {name: high, port: 18080, targetPort: 8080, appProtocol: http}]
---
apiVersion: v1
kind: Pod
metadata: {name: netexec, labels: {app: netexec}}
spec:
  containers:
    - name: netexec
      image: registry.k8s.io/e2e-test-images/agnhost:2.53
      args: [netexec, --http-port=8080, --udp-port=8081]
      readinessProbe: {httpGet: {path: /healthz, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: local}
spec:
  type: NodePort
  externalTrafficPolicy: Local
  selector: {app: netexec}
  ports: [{name: http, port: 80, targetPort: 8080, nodePort: ${http}}, {name: udp, protocol: UDP, port: 81, targetPort: 8081, nodePort: ${udp}}]
`;

/**
 * A node port, other each time, that nobody on this machine has, and that no Service of the cluster is given by chance:
 * the first 86 of the range are left for those who ask for them (KEP 3668).
 */
async function free(): Promise<number> {
  for (;;) {
    const port = 30_000 + Math.floor(Math.random() * 86);
    if (!given.has(port) && (await isFree(port))) {
      given.add(port);
      return port;
    }
  }
}

async function isFree(port: number): Promise<boolean> {
  const tcp = createServer();
  const udp = createSocket('udp4');
  try {
    await once(tcp.listen(port, '127.0.0.1'), 'listening');
    await once(udp.bind(port, '127.0.0.1'), 'listening');
    return true;
  } catch {
    return false;
  } finally {
    if (tcp.listening) await once(tcp.close(), 'close');
    await once(udp.close(), 'close');
  }
}

interface Published {
  readonly service: string;
  readonly portName: string;
  readonly way: string;
  readonly address?: string;
  readonly url?: string;
  readonly insteadOf?: string;
}

async function status(): Promise<Published[]> {
  return JSON.parse(await box.must('status', '-o', 'json')).published;
}

/** Where one is, as soon as `status` says so. */
const placeOf = (service: string, portName: string, way: string) =>
  eventually(`${service}:${portName} by ${way}`, async () =>
    (await status()).find(
      (port) => port.service === service && port.portName === portName && port.way === way && port.url !== undefined,
    ),
  );

/** Where all are, once all are somewhere: an address of its own is not always to be had. */
const addresses = () =>
  eventually('an address for each', async () => {
    const all = await status();
    if (all.some(({ way, address }) => way !== 'ownAddress' && address === undefined)) return undefined;
    return all.map(({ service, portName, way, address }) => ({ service, portName, way, address }));
  });

const curl = (url = '') => run('curl', ['-sS', '-m', '5', url]);
const hello = (url?: string) =>
  eventually(`an answer at ${url}`, async () => (await curl(url)).stdout === 'Hello Kubernetes!' || undefined);

async function askByUdp(port: number, question: string): Promise<string> {
  const socket = createSocket('udp4');
  try {
    socket.send(question, port, '127.0.0.1');
    const [answer] = await once(socket, 'message', { signal: AbortSignal.timeout(20_000) });
    return String(answer);
  } finally {
    socket.close();
  }
}

/** Processes of the cluster that run this part of it. */
const running = (part: string) =>
  processesOf(box.home).filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words.includes(part) && !words.includes('-c');
    } catch {
      return false;
    }
  });

describe('signalbox up --publish', () => {
  test('says where Services are on this machine', () => {
    expect(shown).toContain(`http://127.0.0.1:${http}`);
    expect(shown).toMatch(new RegExp(`default/local:udp +udp://127.0.0.1:${udp} +node port ${udp}$`, 'm'));
    expect(shown).toMatch(/default\/balanced:web +http:\/\/127\.0\.0\.1:\d+ +load balancer, port 80$/m);
    expect(shown).toMatch(/cluster DNS +dig @127\.0\.0\.1 -p \d+ /);
  });

  test('leads to node ports, with the address of this machine under externalTrafficPolicy Local', async () => {
    // A Pod that is Ready gets into the rules, and its node among those that are led to, a moment later.
    const [byTcp, byUdp] = await Promise.all([
      eventually(
        'an answer over TCP',
        async () => (await curl(`http://127.0.0.1:${http}/clientip`)).stdout || undefined,
      ),
      eventually('an answer over UDP', () => askByUdp(udp, 'clientip')),
    ]);
    expect(byTcp).toMatch(/^192\.168\.102\.101:\d+$/);
    expect(byUdp).toMatch(/^192\.168\.102\.101:\d+$/);
    // Nodes in turn: of those without the Pod none would answer.
    for (let i = 0; i < 4; i++) expect(await askByUdp(udp, 'clientip')).toMatch(/^192\.168\.102\.101:\d+$/);
  });

  test('leads to balancers, on 127.0.0.1 and on an address of their own', async () => {
    await hello((await placeOf('default/balanced', 'web', 'loadBalancer')).url);
    await hello((await placeOf('default/balanced', 'high', 'loadBalancer')).url);
    const own = await placeOf('default/balanced', 'high', 'ownAddress');
    expect(own.url).toMatch(/^http:\/\/127\.\d+\.\d+\.\d+:18080$/);
    expect(own.url).not.toContain('127.0.0.1:');
    await hello(own.url);
  });

  test('leads to cluster DNS, over UDP and TCP', async () => {
    const dns = (await status()).find(({ way }) => way === 'dns');
    const [, port = ''] = dns?.address?.split(':') ?? [];
    const ip = await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.spec.clusterIP}');
    for (const how of ['+notcp', '+tcp']) {
      const name = 'hello-service.default.svc.cluster.local';
      await eventually(`the address of ${name}, ${how}`, async () => {
        const { stdout } = await run('dig', ['@127.0.0.1', '-p', port, how, '+short', name]);
        expect(stdout.trim()).toBe(ip);
        return true;
      });
    }
  });

  test('takes another port where one is taken, and tells the Service', async () => {
    const server = createServer().listen(other, '127.0.0.1');
    await once(server, 'listening');
    try {
      await box.kubectlMust('create', 'service', 'nodeport', 'hello', '--tcp=80:8080', `--node-port=${other}`);
      const place = await placeOf('default/hello', '80-8080', 'nodePort');
      expect(place.insteadOf).toBe(`127.0.0.1:${other}`);
      await hello(place.url);
      await eventually('the event', async () => {
        const told = await box.kubectlMust('describe', 'service', 'hello');
        const isTold = told.includes('PortTaken') && told.includes(`is at ${place.address} on the host`);
        return isTold || undefined;
      });
      await box.kubectlMust('delete', 'service', 'hello');
      await eventually('the port is free', async () => (await curl(place.url)).status === 7 || undefined);
      // The record of what is published is written a moment after.
      await eventually('it is not told of any more', async () => {
        expect((await status()).map(({ service }) => service)).not.toContain('default/hello');
        return true;
      });
    } finally {
      server.close();
    }
  });

  test('comes back when the publisher and the binder are killed', async () => {
    for (const part of ['publisher', 'binder']) {
      const pids = running(part);
      expect(pids).toHaveLength(1);
      for (const pid of pids) process.kill(pid, 'SIGKILL');
    }
    await box.kubectlMust(
      'expose',
      'replicaset',
      'hello',
      '--name=late',
      '--type=NodePort',
      '--port=80',
      '--target-port=8080',
    );
    await hello((await placeOf('default/late', '', 'nodePort')).url);
    await hello((await placeOf('default/balanced', 'web', 'loadBalancer')).url);
    await eventually(
      'the node port',
      async () => (await curl(`http://127.0.0.1:${http}/healthz`)).status === 0 || undefined,
    );
  });

  test('is what a running cluster was started with, or not', async () => {
    const { status: code, stderr } = await box.run('up', '--no-publish');
    expect(code).toBe(1);
    expect(stderr).toContain('--publish');
    expect(stderr).toContain('[CLUSTER_RUNS_DIFFERENTLY]');
  });

  test('leaves nothing when the cluster goes, and is as before when it comes back', async () => {
    const before = await addresses();
    await box.must('down', '--keep-data');
    expect(processesOf(box.home)).toEqual([]);
    expect((await curl(`http://127.0.0.1:${http}/`)).status).toBe(7);
    await box.must('up');
    expect(await addresses()).toEqual(before);
    await hello((await placeOf('default/balanced', 'web', 'loadBalancer')).url);
  });
});
