import { createSocket } from 'node:dgram';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Container, CoreEvent, Pod, PodSpec } from '../api/generated/types.ts';
import type { Stored } from '../api/object.ts';
import { createLogger } from '../component/log.ts';
import { openRoutes } from '../kernel/links.ts';
import { listMounts } from '../kernel/mounts.ts';
import { runAgent } from './agent.ts';
import { parseNodeConfig } from './config.ts';
import { logFolder } from './container-log.ts';
import { readLogs } from './log-reader.ts';
import { MemoryApi } from './memory-api.ts';

let imageDir: string;
let folder: string;
let api: MemoryApi;
let stop: () => Promise<void>;

beforeAll(async () => {
  imageDir = mkdtempSync(join(tmpdir(), 'sbx-images-'));
  await build({
    entryPoints: ['node-hello', 'agnhost'].map((name) => join(import.meta.dirname, `../images/${name}.ts`)),
    outdir: imageDir,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
  });
});
afterAll(() => rmSync(imageDir, { recursive: true, force: true }));

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-node-'));
  api = new MemoryApi();
  await api.create('namespaces', { metadata: { name: 'kube-node-lease' } });
  stop = startAgent();
});
afterEach(async () => {
  await stop();
  rmSync(folder, { recursive: true, force: true });
});

function startAgent(): () => Promise<void> {
  const config = parseNodeConfig({
    nodeName: 'node-1',
    nodeIps: ['192.168.101.3'],
    podCidrs: ['10.244.1.0/24'],
    clusterDns: ['10.96.0.10'],
    stateDir: join(folder, 'state'),
    runDir: join(folder, 'run'),
    imageDir,
    labels: { 'topology.kubernetes.io/zone': 'zone-a' },
  });
  const end = new AbortController();
  const running = runAgent(config, { client: api, log: createLogger('node-test') }, end.signal);
  return async () => {
    end.abort();
    await running;
  };
}

function pod(name: string, container: Partial<Container>, spec: Partial<PodSpec> = {}): Promise<Stored<Pod>> {
  const containers = [{ name: 'main', image: 'example.com/any', ...container }];
  return api.create('pods', {
    metadata: { name, namespace: 'default', uid: `uid-${name}` },
    spec: { nodeName: 'node-1', containers, ...spec },
  });
}

const sleeper = { command: ['sh', '-c', 'trap "exit 0" TERM; sleep 1000 & wait'] };

async function until<T>(what: string, find: () => T | undefined | false | Promise<T | undefined | false>): Promise<T> {
  const end = Date.now() + 40_000;
  for (;;) {
    const found = await find();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > end)
      throw new Error(
        `not within 40 s: ${what}; ${JSON.stringify(
          (await api.list('pods')).items.map((p) => p.status),
          null,
          1,
        )}`,
      );
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

function getPod(name: string): Promise<Stored<Pod> | undefined> {
  return api.get('pods', { namespace: 'default', name }).catch(() => undefined);
}

function condition(p: Pod | undefined, type: string): string | undefined {
  return p?.status?.conditions?.find((c) => c.type === type)?.status;
}

function ready(name: string): Promise<Stored<Pod>> {
  return until(`${name} ready`, async () => {
    const found = await getPod(name);
    return condition(found, 'Ready') === 'True' ? found : undefined;
  });
}

function deleted(name: string): Promise<true> {
  return until(`${name} gone`, async () => (await getPod(name)) === undefined);
}

async function log(name: string, run = 0): Promise<string> {
  const found = await api.get('pods', { namespace: 'default', name });
  let text = '';
  for await (const piece of readLogs(logFolder(join(folder, 'state'), found, 'main'), { run })) text += piece;
  return text;
}

async function events(name: string): Promise<CoreEvent[]> {
  const { items } = await api.list('events');
  return items.filter((e) => e.involvedObject.name === name);
}

function get(
  url: string,
  options: { timeoutMs?: number } = {},
): Promise<{ status: number; body: string; headers: NodeJS.Dict<string | string[]> }> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent: false, timeout: options.timeoutMs ?? 2000 }, (response) => {
      let body = '';
      response.on('data', (chunk) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body, headers: response.headers }));
    });
    sent.once('error', reject);
    sent.end();
  });
}

function bridgePorts(): string[] {
  const routes = openRoutes();
  try {
    return routes
      .listLinks()
      .map((link) => link.name)
      .filter((name) => name.startsWith('veth'));
  } finally {
    routes.close();
  }
}

describe('runAgent', () => {
  it('runAgent registers the node and keeps its lease', async () => {
    const node = await until('node', () => api.get('nodes', { name: 'node-1' }).catch(() => undefined));
    expect(node).toMatchObject({
      metadata: { labels: { 'kubernetes.io/hostname': 'node-1', 'topology.kubernetes.io/zone': 'zone-a' } },
      spec: { podCIDR: '10.244.1.0/24', podCIDRs: ['10.244.1.0/24'] },
    });
    expect(node.status?.addresses).toContainEqual({ type: 'InternalIP', address: '192.168.101.3' });
    expect(node.status?.conditions).toContainEqual(expect.objectContaining({ type: 'Ready', status: 'True' }));
    const lease = await until('lease', () =>
      api.get('leases', { namespace: 'kube-node-lease', name: 'node-1' }).catch(() => undefined),
    );
    expect(lease.spec).toMatchObject({ holderIdentity: 'node-1', leaseDurationSeconds: 40 });
  });

  it('runAgent: two Pods reach each other, and the node reaches both', async () => {
    const image = 'gcr.io/google-samples/node-hello:1.0';
    const readinessProbe = { httpGet: { path: '/', port: 8080 } };
    await pod('hello', { image, readinessProbe });
    await pod('netexec', {
      image: 'registry.k8s.io/e2e-test-images/agnhost:2.53',
      args: ['netexec', '--http-port=80', '--udp-port=80', '--enable-shell'],
      readinessProbe: { httpGet: { path: '/healthz', port: 80 } },
    });
    const [hello, netexec] = [await ready('hello'), await ready('netexec')];
    expect([hello.status?.podIP, netexec.status?.podIP].sort()).toEqual(['10.244.1.2', '10.244.1.3']);
    expect(hello.status).toMatchObject({ phase: 'Running', hostIP: '192.168.101.3', qosClass: 'BestEffort' });
    const answer = await get(`http://${hello.status?.podIP}:8080/`);
    expect(answer).toMatchObject({ status: 200, body: 'Hello Kubernetes!', headers: { 'x-pod-name': 'hello' } });
    const command = encodeURIComponent(`curl -s -m 20 http://${hello.status?.podIP}:8080/`);
    const fromPod = await get(`http://${netexec.status?.podIP}/shell?cmd=${command}`);
    expect(JSON.parse(fromPod.body)).toEqual({ output: 'Hello Kubernetes!' });
    expect((await get(`http://${netexec.status?.podIP}/clientip`)).body).toMatch(/^10\.244\.1\.1:\d+$/);
  });

  it('runAgent: a Pod that gets the address of one that went is reached at once', async () => {
    const image = 'gcr.io/google-samples/node-hello:1.0';
    for (const name of ['one', 'two', 'three']) {
      await pod(name, { image, readinessProbe: { httpGet: { port: 8080 } } });
      const { status } = await ready(name);
      expect(status?.podIP).toBe('10.244.1.2');
      expect((await get(`http://${status?.podIP}:8080/`)).headers).toMatchObject({ 'x-pod-name': name });
      await api.delete('pods', { namespace: 'default', name });
      await deleted(name);
    }
  });

  it('runAgent: netexec answers by UDP', async () => {
    const probe = { httpGet: { port: 8080, path: '/healthz' } };
    await pod('udp', { image: 'registry.k8s.io/e2e-test-images/agnhost', args: ['netexec'], readinessProbe: probe });
    const { status } = await ready('udp');
    const socket = createSocket('udp4');
    const ask = (text: string) =>
      new Promise((resolve) => {
        socket.once('message', (answer) => resolve(answer.toString()));
        socket.send(text, 8081, status?.podIP);
      });
    expect(await ask('hostname\n')).toBe('udp');
    expect(await ask('echo a b  c\n')).toBe('a b  c');
    expect(await ask('clientip')).toBe(`10.244.1.1:${socket.address().port}`);
    expect(await ask('what')).toMatch(/knows hostname, clientip and echo/);
    socket.close();
    expect((await get(`http://${status?.podIP}:8080/shell?cmd=id`)).status).toBe(403);
    expect((await get(`http://${status?.podIP}:8080/echo?msg=a%20b`)).body).toBe('a b');
  });

  it('runAgent gives Pods names, resolvers, hosts and the variables of Services', async () => {
    await api.create('services', {
      metadata: { name: 'hello-service', namespace: 'default' },
      spec: { clusterIP: '10.96.10.20', ports: [{ name: 'web', port: 80, protocol: 'TCP' }] },
    });
    await api.create('configMaps', { metadata: { name: 'settings', namespace: 'default' }, data: { color: 'blue' } });
    const script =
      'hostname; cat /etc/resolv.conf; tail -1 /etc/hosts; echo $HELLO_SERVICE_SERVICE_HOST:$HELLO_SERVICE_SERVICE_PORT_WEB $IP $COLOR; cat /config/color';
    await pod(
      'talker',
      {
        command: ['sh', '-c', script],
        env: [
          { name: 'IP', valueFrom: { fieldRef: { fieldPath: 'status.podIP' } } },
          { name: 'COLOR', valueFrom: { configMapKeyRef: { name: 'settings', key: 'color' } } },
        ],
        volumeMounts: [{ name: 'config', mountPath: '/config' }],
      },
      { restartPolicy: 'Never', volumes: [{ name: 'config', configMap: { name: 'settings' } }] },
    );
    await until('talker succeeded', async () => (await getPod('talker'))?.status?.phase === 'Succeeded');
    expect(await log('talker')).toBe(
      [
        'talker',
        'search default.svc.cluster.local svc.cluster.local cluster.local',
        'nameserver 10.96.0.10',
        'options ndots:5',
        '10.244.1.2\ttalker',
        '10.96.10.20:80 10.244.1.2 blue',
        'blue',
        '',
      ].join('\n'),
    );
    await until('no link left', () => bridgePorts().length === 0);
  });

  it('runAgent waits for a ConfigMap that is missing, and says so', async () => {
    await pod('waiter', { ...sleeper, envFrom: [{ configMapRef: { name: 'late' } }] });
    const status = await until('waiting', async () => {
      const found = (await getPod('waiter'))?.status?.containerStatuses?.[0]?.state?.waiting;
      return found?.reason === 'CreateContainerConfigError' ? found : undefined;
    });
    expect(status.message).toMatch(/ConfigMap default\/late does not exist/);
    await api.create('configMaps', { metadata: { name: 'late', namespace: 'default' }, data: {} });
    await ready('waiter');
  });

  it('runAgent refuses images it does not have, and says what to do', async () => {
    await pod('stranger', { image: 'nginx:1.27' });
    const event = await until('event', async () => (await events('stranger')).find((e) => e.reason === 'Failed'));
    expect(event.message).toMatch(/ErrImagePull.*"nginx:1.27".*"command".*registry\.k8s\.io\/pause/);
    expect((await getPod('stranger'))?.status).toMatchObject({
      phase: 'Pending',
      containerStatuses: [{ state: { waiting: { reason: 'ErrImagePull' } } }],
    });
  });

  it('runAgent restarts what ends: at once, then with back-off', async () => {
    await pod('crasher', { command: ['sh', '-c', 'echo run; exit 3'] });
    const status = await until('back-off', async () => {
      const found = (await getPod('crasher'))?.status?.containerStatuses?.[0];
      return found?.state?.waiting?.reason === 'CrashLoopBackOff' ? found : undefined;
    });
    expect(status).toMatchObject({ restartCount: 1, lastState: { terminated: { exitCode: 3, reason: 'Error' } } });
    expect(status.state?.waiting?.message).toMatch(/^back-off 10s restarting failed container=main/);
    expect(await log('crasher', 1)).toBe('run\n');
    await until('event', async () => (await events('crasher')).some((e) => e.reason === 'BackOff'));
  });

  it('runAgent says why a program cannot be started', async () => {
    await pod('typo', { command: ['no-such-program'] }, { restartPolicy: 'Never' });
    await until('failed', async () => (await getPod('typo'))?.status?.phase === 'Failed');
    const terminated = (await getPod('typo'))?.status?.containerStatuses?.[0]?.state?.terminated;
    expect(terminated).toMatchObject({ exitCode: 128, reason: 'StartError' });
    expect(terminated?.message).toMatch(/exec: "no-such-program" no such file or directory in PATH/);
  });

  it('runAgent runs init containers in order before the others', async () => {
    const write = (text: string) => ['sh', '-c', `echo ${text} >> /work/order`];
    const volumeMounts = [{ name: 'work', mountPath: '/work' }];
    await pod(
      'ordered',
      { command: ['sh', '-c', 'cat /work/order'], volumeMounts },
      {
        restartPolicy: 'Never',
        volumes: [{ name: 'work', emptyDir: {} }],
        initContainers: [
          { name: 'one', command: write('one'), volumeMounts },
          { name: 'side', command: sleeper.command, restartPolicy: 'Always' },
          { name: 'two', command: write('two'), volumeMounts },
        ],
      },
    );
    await until('succeeded', async () => (await getPod('ordered'))?.status?.phase === 'Succeeded');
    expect(await log('ordered')).toBe('one\ntwo\n');
    expect(condition(await getPod('ordered'), 'Initialized')).toBe('True');
  });

  it('runAgent: readiness follows the probe, and a failed liveness probe restarts', async () => {
    const probe = { periodSeconds: 1, failureThreshold: 1 };
    await pod(
      'probed',
      {
        command: ['sh', '-c', 'touch /work/ok; trap "exit 0" TERM; sleep 1000 & wait'],
        volumeMounts: [{ name: 'work', mountPath: '/work' }],
        readinessProbe: { ...probe, exec: { command: ['test', '-e', '/work/ok'] } },
        livenessProbe: { ...probe, exec: { command: ['test', '!', '-e', '/work/dead'] } },
      },
      { volumes: [{ name: 'work', emptyDir: {} }] },
    );
    await ready('probed');
    const work = join(folder, 'state/pods/uid-probed/volumes/work');
    rmSync(join(work, 'ok'));
    await until('unready', async () => condition(await getPod('probed'), 'Ready') === 'False');
    writeFileSync(join(work, 'dead'), '');
    await until('killed', async () => (await events('probed')).some((e) => e.reason === 'Killing'));
    rmSync(join(work, 'dead'));
    await until(
      'restarted',
      async () => ((await getPod('probed'))?.status?.containerStatuses?.[0]?.restartCount ?? 0) >= 1,
    );
    await ready('probed');
    const reasons = (await events('probed')).map((e) => e.reason);
    expect(reasons).toEqual(expect.arrayContaining(['Unhealthy', 'Killing', 'Started']));
  });

  it('runAgent ends a deleted Pod by SIGTERM, then SIGKILL, and leaves nothing behind', async () => {
    const mounts = listMounts().length;
    await pod('gentle', { command: ['sh', '-c', 'trap "echo bye; exit 0" TERM; echo up; sleep 1000 & wait'] });
    await pod('stubborn', { command: ['sh', '-c', 'trap "" TERM; echo up; while :; do sleep 1; done'] });
    await Promise.all([ready('gentle'), ready('stubborn')]);
    await until('traps set', async () => (await log('gentle')) + (await log('stubborn')) === 'up\nup\n');
    expect(listMounts().length).toBeGreaterThan(mounts);
    const began = Date.now();
    // Nobody waits for so long: what ends the one is SIGTERM.
    for (const [name, gracePeriodSeconds] of [
      ['gentle', 600],
      ['stubborn', 2],
    ] as const)
      await api.delete('pods', { namespace: 'default', name }, { gracePeriodSeconds });
    await deleted('gentle');
    await deleted('stubborn');
    expect(Date.now() - began).toBeGreaterThan(1900);
    expect(bridgePorts()).toEqual([]);
    expect(listMounts().length).toBe(mounts);
    expect(readdirSync(join(folder, 'run/netns'))).toEqual([]);
    expect(readdirSync(join(folder, 'state/pods'))).toEqual([]);
    expect(JSON.parse(readFileSync(join(folder, 'state/addresses.json'), 'utf8'))).toEqual({});
  });

  it('runAgent runs the preStop hook before it ends a container', async () => {
    await pod(
      'hooked',
      {
        command: ['sh', '-c', 'trap "cat /work/hook; exit 0" TERM; echo up; sleep 1000 & wait'],
        volumeMounts: [{ name: 'work', mountPath: '/work' }],
        lifecycle: { preStop: { exec: { command: ['sh', '-c', 'echo hooked > /work/hook'] } } },
      },
      { volumes: [{ name: 'work', emptyDir: {} }] },
    );
    const found = await ready('hooked');
    await until('up', async () => (await log('hooked')) === 'up\n');
    await api.delete('pods', { namespace: 'default', name: 'hooked' });
    await deleted('hooked');
    let text = '';
    for await (const piece of readLogs(logFolder(join(folder, 'state'), found, 'main'), { run: 0 })) text += piece;
    expect(text).toBe('up\nhooked\n');
  });

  it('runAgent, started again, keeps addresses, starts Pods again, and clears away those that went', async () => {
    await pod('first', sleeper);
    await ready('first');
    await pod('second', sleeper);
    await ready('second');
    await stop();
    expect(bridgePorts()).toEqual([]);
    await api.delete('pods', { namespace: 'default', name: 'first' }, { gracePeriodSeconds: 0 });
    stop = startAgent();
    const second = await until('restarted', async () => {
      const found = await getPod('second');
      return found?.status?.containerStatuses?.[0]?.restartCount === 1 && condition(found, 'Ready') === 'True'
        ? found
        : undefined;
    });
    expect(second.status?.podIP).toBe('10.244.1.3');
    expect(second.status?.containerStatuses?.[0]?.lastState?.terminated).toMatchObject({
      reason: 'ContainerStatusUnknown',
    });
    expect(bridgePorts()).toHaveLength(1);
    expect(readdirSync(join(folder, 'state/pods'))).toEqual(['uid-second']);
    await pod('third', sleeper);
    expect((await ready('third')).status?.podIP).toBe('10.244.1.2');
  });

  it('runAgent leaves a Pod pending that asks for what it cannot give', async () => {
    await pod('greedy', { ...sleeper, ports: [{ containerPort: 80, hostPort: 80 }] });
    const event = await until('event', async () => (await events('greedy')).find((e) => e.type === 'Warning'));
    expect(event).toMatchObject({
      reason: 'FailedCreatePodSandBox',
      message: expect.stringMatching(/hostPort 80.*NodePort/),
    });
    await pod('claimed', sleeper, { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'c' } }] });
    const mount = await until('event', async () => (await events('claimed')).find((e) => e.type === 'Warning'));
    expect(mount).toMatchObject({
      reason: 'FailedMount',
      message: expect.stringMatching(/volume v is of kind persistentVolumeClaim/),
    });
    expect((await getPod('claimed'))?.status?.phase).toBe('Pending');
  });
});
