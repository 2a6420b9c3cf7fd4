import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Pod } from '../../src/api/generated/types.ts';
import { eventually, root, Signalbox } from './signalbox.ts';

const example = (name: string) => join(root, 'examples', name);
const box = new Signalbox();
/** A Pod of agnhost by itself. */
const alone = box.manifest(
  'alone.json',
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'alone', labels: { app: 'alone' } },
    spec: {
      containers: [
        {
          name: 'agnhost',
          image: 'registry.k8s.io/e2e-test-images/agnhost:2.53',
          args: ['netexec', '--http-port=8080', '--udp-port=8081'],
        },
      ],
    },
  }),
);
let pods: string[] = [];

/** Requests from inside one Pod: one line with status and answering Pod for each, by Node's own HTTP client. */
function requests(url: string, count: number): string[] {
  const program = `
    const http = require('node:http');
    const one = () => new Promise((done) => {
      const request = http.get(${JSON.stringify(url)}, { agent: false, timeout: 10_000 }, (answer) => {
        answer.resume();
        answer.on('end', () => done(answer.statusCode + ' ' + answer.headers['x-pod-name']));
      });
      request.on('timeout', () => request.destroy(new Error('timeout')));
      request.on('error', (error) => done(error.code || error.message));
    });
    (async () => { for (let i = 0; i < ${count}; i++) console.log(await one()); })();`;
  return ['--', process.execPath, '-e', program];
}

async function answers(target: string, url: string, count: number): Promise<string[]> {
  return (await box.must('exec', target, ...requests(url, count))).trim().split('\n');
}

async function clusterIp(service: string): Promise<string> {
  return box.kubectlMust('get', 'service', service, '-o', 'jsonpath={.spec.clusterIP}');
}

/** Of `hello`, without those that are going. */
async function podNames(): Promise<string[]> {
  const { items } = JSON.parse(await box.kubectlMust('get', 'pods', '-l', 'app=hello', '-o', 'json'));
  return items
    .filter(({ metadata }: Pod) => metadata?.deletionTimestamp === undefined)
    .map(({ metadata }: Pod) => metadata?.name);
}

beforeAll(async () => {
  await box.must('up', '-f', example('hello.yaml'));
  pods = await podNames();
  const ip = await clusterIp('hello-service');
  // All is in place when `up` returns: no request comes too early.
  const first = await Promise.all([
    answers(`pod/${pods[0]}`, 'http://hello-service', 20),
    answers(`pod/${pods[1]}`, 'http://hello-service', 20),
    answers('node/node-1', `http://${ip}`, 20),
    answers('node/node-2', `http://${ip}`, 20),
  ]);
  expect(first.flat().filter((line) => !line.startsWith('200 '))).toEqual([]);
});
// What a test before has done to them is undone.
beforeEach(async () => {
  await box.must('up', '-f', example('hello.yaml'), '-f', example('nodeport.yaml'), '-f', alone);
  pods = await podNames();
});
afterAll(() => box.close());

describe('a cluster with hello.yaml', () => {
  test('has one hello Pod on each of three nodes, and says so to kubectl', async () => {
    const wide = await box.kubectlMust('get', 'pods,svc,endpointslices', '-o', 'wide');
    for (const node of ['node-1', 'node-2', 'node-3']) expect(wide).toContain(node);
    expect(wide).toMatch(/service\/hello-service\s+ClusterIP\s+10\.\d+\.\d+\.\d+\s+<none>\s+80\/TCP/);
    expect(wide).toMatch(/endpointslice\S+\/hello-service-\S+\s+IPv4\s+8080/);
    expect(pods).toHaveLength(3);
  });

  test('gives nodes and Pods the addresses that texts about Kubernetes show', async () => {
    const nodes = await box.kubectlMust(
      'get',
      'nodes',
      '-o',
      'jsonpath={range .items[*]}{.metadata.name}={.status.addresses[?(@.type=="InternalIP")].address} {.spec.podCIDR}{"\\n"}{end}',
    );
    expect(nodes.trim().split('\n')).toEqual([
      'node-1=192.168.101.3 10.244.1.0/24',
      'node-2=192.168.101.4 10.244.2.0/24',
      'node-3=192.168.101.5 10.244.3.0/24',
    ]);
  });

  test('answers by DNS name in every search path form', async () => {
    for (const name of [
      'hello-service',
      'hello-service.default',
      'hello-service.default.svc',
      'hello-service.default.svc.cluster.local',
    ]) {
      expect(await answers(`pod/${pods[0]}`, `http://${name}`, 1)).toEqual([expect.stringMatching(/^200 hello-/)]);
    }
  });

  test('spreads 600 requests over three Pods, each with 20 to 47 %', async () => {
    const got = await answers(`pod/${pods[0]}`, `http://${await clusterIp('hello-service')}`, 600);
    const shares = new Map<string, number>();
    for (const line of got) shares.set(line, (shares.get(line) ?? 0) + 1);
    expect([...shares.keys()].sort()).toEqual(pods.map((pod) => `200 ${pod}`).sort());
    for (const share of shares.values()) {
      // An even draw is outside once in 10^11 runs.
      expect(share / 600).toBeGreaterThanOrEqual(0.2);
      expect(share / 600).toBeLessThanOrEqual(0.47);
    }
  });

  test('answers a node at the cluster IP', async () => {
    const got = await answers('node/node-2', `http://${await clusterIp('hello-service')}`, 10);
    expect(got.every((line) => line.startsWith('200 hello-'))).toBe(true);
  });

  test('answers curl in a Pod', async () => {
    expect(
      await box.must('exec', `pod/${pods[1]}`, '--', 'curl', '-sS', '--max-time', '20', 'http://hello-service'),
    ).toContain('Hello Kubernetes!');
  });

  test('answers dig in a Pod with the cluster IP', async () => {
    const answer = await box.must('exec', `pod/${pods[1]}`, '--', 'dig', '+short', '+search', 'hello-service');
    expect(answer.trim()).toBe(await clusterIp('hello-service'));
  });

  test('gives Pods started after a Service its environment variables', async () => {
    await box.kubectlMust('run', 'late', '--image=registry.k8s.io/pause:3.10');
    await box.kubectlMust('wait', '--for=condition=Ready', 'pod/late', '--timeout=60s');
    const env = await box.must('exec', 'pod/late', '--', 'env');
    const ip = await clusterIp('hello-service');
    expect(env).toContain(`HELLO_SERVICE_SERVICE_HOST=${ip}\n`);
    expect(env).toContain('HELLO_SERVICE_SERVICE_PORT=80\n');
    expect(env).toContain(`HELLO_SERVICE_PORT_80_TCP_ADDR=${ip}\n`);
    await box.kubectlMust('delete', 'pod', 'late', '--grace-period=1');
  });
});

describe('a Pod that reaches itself through its own Service', () => {
  test('gets an answer, from itself', async () => {
    await box.kubectlMust('expose', 'pod', 'alone', '--port=80', '--target-port=8080');
    const ip = await clusterIp('alone');
    const answer = await eventually('hairpin', async () => {
      const { status, stdout } = await box.run(
        'exec',
        'pod/alone',
        '--',
        'curl',
        '-sS',
        '--max-time',
        '3',
        `http://${ip}/hostname`,
      );
      return status === 0 ? stdout : undefined;
    });
    expect(answer).toBe('alone');
  });

  test('by UDP too', async () => {
    await box.kubectlMust(
      'expose',
      'pod',
      'alone',
      '--name=alone-udp',
      '--port=81',
      '--target-port=8081',
      '--protocol=UDP',
    );
    const ip = await clusterIp('alone-udp');
    const program = `
      const socket = require('node:dgram').createSocket('udp4');
      socket.on('message', (m) => { console.log(String(m)); process.exit(); });
      setTimeout(() => process.exit(1), 1000);
      socket.send('hostname', 81, '${ip}');`;
    const answer = await eventually('UDP hairpin', async () => {
      const { status, stdout } = await box.run('exec', 'pod/alone', '--', process.execPath, '-e', program);
      return status === 0 ? stdout : undefined;
    });
    expect(answer.trim()).toBe('alone');
  });
});

describe('a node port', () => {
  test('is answered on every node, to a client outside, which is masqueraded', async () => {
    for (const node of ['192.168.101.3', '192.168.101.4', '192.168.101.5']) {
      const got = await answers('client', `http://${node}:30080`, 5);
      expect(got.every((line) => line.startsWith('200 hello-'))).toBe(true);
    }
  });
});

describe('hand-made Endpoints', () => {
  test('are mirrored to a slice and answer', async () => {
    const ip = await box.kubectlMust('get', 'pod', pods[0] ?? '', '-o', 'jsonpath={.status.podIP}');
    const path = box.manifest(
      'no-selector.yaml',
      `
apiVersion: v1
kind: Service
metadata: { name: by-hand }
spec: { ports: [{ port: 80, targetPort: 8080 }] }
---
apiVersion: v1
kind: Endpoints
metadata: { name: by-hand }
subsets: [{ addresses: [{ ip: ${ip} }], ports: [{ port: 8080 }] }]
`,
    );
    await box.kubectlMust('apply', '-f', path);
    await eventually('mirrored endpoints', async () => {
      const got = await answers(`pod/${pods[0]}`, 'http://by-hand', 1);
      return got[0]?.startsWith('200') ? true : undefined;
    });
  });
});

describe('a headless Service', () => {
  test('has the addresses of its Pods in DNS', async () => {
    await box.kubectlMust('apply', '-f', example('headless.yaml'));
    const ips = (await box.kubectlMust('get', 'pods', ...pods, '-o', 'jsonpath={.items[*].status.podIP}'))
      .split(' ')
      .sort();
    await eventually('headless answer', async () => {
      const out = await box.must('exec', `pod/${pods[0]}`, '--', 'dig', '+short', '+search', 'hello-headless-service');
      expect(out.trim().split('\n').sort()).toEqual(ips);
      return true;
    });
  });
});

describe('an external name', () => {
  test('is a CNAME', async () => {
    await box.kubectlMust('apply', '-f', example('external-name.yaml'));
    await eventually('CNAME', async () => {
      const out = await box.must('exec', `pod/${pods[0]}`, '--', 'dig', '+short', '+search', 'search-engine', 'CNAME');
      expect(out).toBe('google.com.\n');
      return true;
    });
  });
});

describe('a Pod replaced under a stream of requests', () => {
  test('loses no request, and its successor answers', async () => {
    const [victim = ''] = pods;
    const ip = await clusterIp('hello-service');
    const stream = box.must('exec', 'node/node-1', ...requests(`http://${ip}`, 2000));
    await box.kubectlMust('delete', 'pod', victim, '--wait=false');
    const successor = await eventually('a successor', async () =>
      (await podNames()).find((name) => !pods.includes(name)),
    );
    await box.kubectlMust('wait', '--for=condition=Ready', `pod/${successor}`, '--timeout=60s');
    const lines = (await stream).trim().split('\n');
    expect(lines).toHaveLength(2000);
    expect(lines.filter((line) => !line.startsWith('200'))).toEqual([]);
    await eventually('the successor answers', async () =>
      (await answers('node/node-1', `http://${ip}`, 20)).includes(`200 ${successor}`) ? true : undefined,
    );
    expect(await answers('node/node-1', `http://${ip}`, 30)).not.toContain(`200 ${victim}`);
  });
});

describe('scaling', () => {
  test('to zero refuses at once, and back answers again', async () => {
    const ip = await clusterIp('hello-service');
    await box.kubectlMust('scale', 'replicaset', 'hello', '--replicas=0');
    const nodePort = 'http://192.168.101.4:30080';
    for (const [from, url] of [
      ['pod/alone', `http://${ip}`],
      ['node/node-1', `http://${ip}`],
      ['client', nodePort],
    ] as const) {
      await eventually(`${from} refused`, async () => (await answers(from, url, 1))[0] === 'ECONNREFUSED' || undefined);
    }
    expect(await answers('node/node-1', `http://${ip}`, 20)).toEqual(Array(20).fill('ECONNREFUSED'));
    expect(await answers('client', nodePort, 3)).toEqual(Array(3).fill('ECONNREFUSED'));
    // A packet that nobody answers is sent again after a second.
    const urls = Array(20).fill(`http://${ip}`);
    const { stdout } = await box.run('exec', 'node/node-1', '--', 'curl', '-s', '-w', '%{time_total}\n', ...urls);
    const seconds = stdout.trim().split('\n').map(Number);
    expect(seconds).toHaveLength(20);
    expect(seconds.filter((each) => each < 1).length).toBeGreaterThan(10);
    await box.kubectlMust('scale', 'replicaset', 'hello', '--replicas=2');
    await eventually('answers again', async () =>
      (await answers('node/node-1', `http://${ip}`, 1))[0]?.startsWith('200') ? true : undefined,
    );
  });
});

describe('kubectl', () => {
  test('rolls a Deployment out, scales it, labels, describes and deletes', async () => {
    await box.kubectlMust(
      'create',
      'deployment',
      'web',
      '--image=gcr.io/google-samples/node-hello:1.0',
      '--replicas=2',
      '--port=8080',
    );
    await box.kubectlMust('rollout', 'status', 'deployment/web', '--timeout=60s');
    await box.kubectlMust('scale', 'deployment/web', '--replicas=3');
    await box.kubectlMust('wait', '--for=jsonpath={.status.readyReplicas}=3', 'deployment/web', '--timeout=60s');
    await box.kubectlMust('label', 'deployment/web', 'tier=front');
    expect(await box.kubectlMust('get', 'deployment', '-l', 'tier=front')).toMatch(/web\s+3\/3\s+3\s+3/);
    await box.kubectlMust('set', 'env', 'deployment/web', 'VERSION=2');
    await box.kubectlMust('rollout', 'status', 'deployment/web', '--timeout=60s');
    expect(await box.kubectlMust('describe', 'deployment', 'web')).toMatch(/VERSION:\s+2/);
    await box.kubectlMust('delete', 'deployment', 'web');
    await eventually(
      'Pods of the Deployment are gone',
      async () => {
        const left = await box.kubectlMust('get', 'pods', '-l', 'app=web', '-o', 'name');
        return left.trim() === '' ? true : undefined;
      },
      60_000,
    );
  });
});
