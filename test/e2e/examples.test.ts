import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, root, Signalbox } from './signalbox.ts';

const example = (name: string) => join(root, 'examples', name);
const box = new Signalbox();
/** Name and address of each hello Pod. */
let hello: { readonly name: string; readonly ip: string }[] = [];

async function helloPods(): Promise<typeof hello> {
  const path = 'jsonpath={range .items[*]}{.metadata.name} {.status.podIP}{"\\n"}{end}';
  const lines = (await box.kubectlMust('get', 'pods', '-l', 'app=hello', '-o', path)).trim().split('\n');
  return lines.map((line) => line.split(' ')).map(([name = '', ip = '']) => ({ name, ip }));
}

/** Which Pod answers there; tried again, as a reader would, until the rule is in the kernel. */
function answerer(target: string, url: string): Promise<string> {
  const curl = ['curl', '-sS', '-o', '/dev/null', '-D', '-', '--max-time', '10', url];
  return eventually(`an answer of ${url} to ${target}`, async () => {
    const { stdout } = await box.run('exec', target, '--', ...curl);
    return /^x-pod-name: (\S+)/im.exec(stdout)?.[1];
  });
}

async function dig(...question: string[]): Promise<string[]> {
  const command = ['dig', '+short', '+search', ...question];
  return eventually(question.join(' '), async () => {
    const lines = (await box.must('exec', `pod/${hello[0]?.name}`, '--', ...command)).split('\n').filter(Boolean);
    return lines.length > 0 ? lines.sort() : undefined;
  });
}

beforeAll(async () => {
  await box.must('up', '-f', example('hello.yaml'));
  hello = await helloPods();
});
afterAll(() => box.close());

/** What each example's comment promises. */
const promises: { readonly [file: string]: () => Promise<void> } = {
  'hello.yaml': async () => {
    expect(hello).toHaveLength(3);
    expect(hello.map(({ name }) => name)).toContain(await answerer(`pod/${hello[0]?.name}`, 'http://hello-service'));
  },
  'nodeport.yaml': async () => {
    for (const node of ['192.168.101.3', '192.168.101.4', '192.168.101.5'])
      expect(await answerer('client', `http://${node}:30080`)).toMatch(/^hello-/);
  },
  'external-ip.yaml': async () => {
    expect(await answerer('client', 'http://192.168.102.4:34080')).toMatch(/^hello-/);
  },
  'load-balancer.yaml': async () => {
    const path = 'jsonpath={.status.loadBalancer.ingress[0].ip}';
    const ip = await eventually('an address of the balancer', async () => {
      const text = await box.kubectlMust('get', 'service', 'hello-load-balancer', '-o', path);
      return text === '' ? undefined : text;
    });
    expect(ip).toMatch(/^192\.168\.102\.2\d\d$/);
    expect(await answerer('client', `http://${ip}`)).toMatch(/^hello-/);
  },
  'headless.yaml': async () => {
    expect(await dig('hello-headless-service')).toEqual(hello.map(({ ip }) => ip).sort());
  },
  'external-name.yaml': async () => {
    expect(await dig('search-engine', 'CNAME')).toEqual(['google.com.']);
  },
  'session-affinity.yaml': async () => {
    const url = `http://${await clusterIp('hello-sticky-service')}`;
    const clients = ['node/node-1', 'node/node-2', `pod/${hello[0]?.name}`];
    for (const client of clients) {
      const first = await answerer(client, url);
      for (let i = 0; i < 8; i++) expect(await answerer(client, url)).toBe(first);
    }
    const gone = await answerer('node/node-1', url);
    await box.kubectlMust('delete', 'pod', gone);
    const next = await answerer('node/node-1', url);
    expect(next).not.toBe(gone);
    for (let i = 0; i < 8; i++) expect(await answerer('node/node-1', url)).toBe(next);
    await box.kubectlMust('wait', '--for=jsonpath={.status.readyReplicas}=3', 'replicaset/hello', '--timeout=60s');
    hello = await helloPods();
  },
  'no-selector.yaml': async () => {
    // As its comment says: with six replicas each node has two.
    await box.kubectlMust('scale', 'replicaset/hello', '--replicas=6');
    await box.kubectlMust('wait', '--for=jsonpath={.status.readyReplicas}=6', 'replicaset/hello', '--timeout=60s');
    const second = (await helloPods()).find(({ ip }) => ip === '10.244.1.3');
    expect(second).toBeDefined();
    expect(await answerer('node/node-2', `http://${await clusterIp('hello-service-no-selector')}`)).toBe(second?.name);
  },
};

async function clusterIp(service: string): Promise<string> {
  return box.kubectlMust('get', 'service', service, '-o', 'jsonpath={.spec.clusterIP}');
}

describe('examples/', () => {
  test('are all executed here', () => {
    const files = readdirSync(join(root, 'examples')).filter((name) => name.endsWith('.yaml'));
    expect(Object.keys(promises).sort()).toEqual(files.sort());
  });

  test.each(Object.entries(promises))('%s keeps what its comment promises, by kubectl', async (file, keeps) => {
    expect(readFileSync(example(file), 'utf8')).toMatch(/^# [A-Z0-9]/);
    await box.kubectlMust('apply', '-f', example(file));
    await keeps();
  });

  test('are taken by `signalbox up -f` as a folder', async () => {
    await box.must('up', '-f', join(root, 'examples'));
    expect(await box.kubectlMust('get', 'services', '-o', 'name')).toMatch(/search-engine/);
  });
});
