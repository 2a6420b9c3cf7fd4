import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, type Outcome, root, run, Signalbox } from './signalbox.ts';

const box = new Signalbox();
const env = (more: NodeJS.ProcessEnv = {}) => ({
  ...box.env,
  ...more,
  KUBECONFIG: join(box.home, 'clusters/default/kubeconfig'),
});
/** What kubectl's streams are carried by: it spoke SPDY only before 1.30, as programs with client-go may do still. */
const carriers: readonly (readonly [name: string, env: NodeJS.ProcessEnv])[] = [
  ['WebSocket', {}],
  ['SPDY', { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' }],
];
let pod = '';

const shell = (name: string, script: string, rest = '') => `
apiVersion: v1
kind: Pod
metadata: { name: ${name} }
spec:
  terminationGracePeriodSeconds: 1
  containers: [{ name: main, image: host, command: [/bin/sh, -c, ${JSON.stringify(script)}] ${rest} }]
`;

async function apply(name: string, text: string): Promise<void> {
  await box.kubectlMust('apply', '-f', box.manifest(name, text));
}

/** kubectl at a terminal of its own, which util-linux's script(1) gives it. */
function atTerminal(command: string, carrier: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return run('script', ['-qec', command, '/dev/null'], { env: env(carrier), input: '' });
}

function kubectlWith(input: string, args: readonly string[], carrier: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return run('kubectl', args, { env: env(carrier), input });
}

beforeAll(async () => {
  await box.must('up', '-f', join(root, 'examples', 'hello.yaml'));
  pod = (await box.kubectlMust('get', 'pods', '-l', 'app=hello', '-o', 'jsonpath={.items[0].metadata.name}')).trim();
});
afterAll(() => box.close());

describe('kubectl logs', () => {
  test('gives the log, its tail, what came since, and times', async () => {
    await apply('talker.yaml', shell('talker', 'for i in 1 2 3 4 5; do echo line $i; done; sleep 100 & wait'));
    await box.kubectlMust('wait', '--for=condition=Ready', 'pod/talker', '--timeout=60s');
    await eventually('five lines', async () =>
      (await box.kubectlMust('logs', 'talker')) === 'line 1\nline 2\nline 3\nline 4\nline 5\n' ? true : undefined,
    );
    expect(await box.kubectlMust('logs', 'talker', '--tail=2')).toBe('line 4\nline 5\n');
    expect(await box.kubectlMust('logs', 'talker', '--tail=0')).toBe('');
    expect(await box.kubectlMust('logs', 'talker', '--limit-bytes=9')).toBe('line 1\nli');
    expect(await box.kubectlMust('logs', 'talker', '--since=1h')).toContain('line 1');
    expect(await box.kubectlMust('logs', 'talker', '--since-time=2100-01-01T00:00:00Z')).toBe('');
    expect(await box.kubectlMust('logs', 'talker', '--timestamps', '--tail=1')).toMatch(/^\d{4}-\S+Z line 5\n$/);
  });

  test('follows until the container ends', async () => {
    await apply(
      'counter.yaml',
      `${shell('counter', 'sleep 1; for i in 1 2 3; do echo tick $i; sleep 0.2; done')}  restartPolicy: Never\n`,
    );
    await eventually('the container to run', async () =>
      (await box.kubectl('logs', 'counter')).status === 0 ? true : undefined,
    );
    expect(await box.kubectlMust('logs', '-f', 'counter')).toBe('tick 1\ntick 2\ntick 3\n');
  });

  test('gives the log of the run before', async () => {
    await apply('twice.yaml', shell('twice', 'echo run at $(date +%s%N); exit 1'));
    await eventually('a restart', async () =>
      Number(
        await box.kubectlMust('get', 'pod', 'twice', '-o', 'jsonpath={.status.containerStatuses[0].restartCount}'),
      ) > 0
        ? true
        : undefined,
    );
    const before = await box.kubectlMust('logs', '--previous', 'twice');
    expect(before).toMatch(/^run at \d+\n$/);
    expect(await box.kubectlMust('logs', 'twice')).not.toBe(before);
    await box.kubectlMust('delete', 'pod', 'twice', '--now');
  });

  test('says what is wrong in the words of Kubernetes', async () => {
    await box.kubectlMust('run', 'nothing', '--image=example.org/nothing');
    await eventually('the reason', async () => {
      const { stderr } = await box.kubectl('logs', 'nothing');
      return /container "nothing" in pod "nothing" is waiting to start: (image can't be pulled|trying and failing)/.test(
        stderr,
      )
        ? true
        : undefined;
    });
    expect((await box.kubectl('logs', pod, '-c', 'other')).stderr).toContain(
      `container other is not valid for pod ${pod}`,
    );
    expect((await box.kubectl('logs', pod, '--previous')).stderr).toContain(
      'previous terminated container "hello" in pod',
    );
    const raw = await box.kubectl('get', '--raw', `/api/v1/namespaces/default/pods/${pod}/log?tailLines=-1`);
    expect(raw.stderr).toContain('must be greater than or equal to 0');
    await box.kubectlMust('delete', 'pod', 'nothing', '--now');
  });
});

describe.each(carriers)('kubectl exec over %s', (_, carrier) => {
  test('passes input, output, errors and the exit status', async () => {
    const args = ['exec', '-i', pod, '--', 'sh', '-c', 'cat; echo bad >&2; exit 7'];
    const { status, stdout, stderr } = await kubectlWith('some input', args, carrier);
    expect({ status, stdout }).toEqual({ status: 7, stdout: 'some input' });
    expect(stderr).toBe('bad\ncommand terminated with exit code 7\n');
  });

  test('loses nothing of much output to a slow reader', async () => {
    const command = `kubectl exec ${pod} -- seq 3000000 | (sleep 1; cmp - $LINES_FILE && echo same)`;
    const lines = join(box.home, 'lines');
    await run('sh', ['-c', 'seq 3000000 > "$1"', 'sh', lines], { env: env() });
    const outcome = await run('sh', ['-c', command], { env: env({ ...carrier, LINES_FILE: lines }) });
    expect(outcome.stdout).toBe('same\n');
  });

  test('gives a terminal of the size of the user’s, and its exit status', async () => {
    // A client that a busy machine keeps from saying its size at once has the program told of it later.
    const inner = 'tty; for i in $(seq 300); do stty size | grep -v "^0 0" && break; sleep 0.1; done; exit 4';
    const outcome = await atTerminal(`stty rows 41 cols 131; kubectl exec -it ${pod} -- sh -c '${inner}'`, carrier);
    expect(outcome.stdout).toMatch(/\/dev\/pts\/\d+\r\n/);
    expect(outcome.stdout).toContain('41 131\r\n');
    expect(outcome.status).toBe(4);
  });

  test('attach joins a container that runs', async () => {
    const name = carrier === carriers[0]?.[1] ? 'echoer' : 'old-echoer';
    await apply(
      `${name}.yaml`,
      shell(name, 'while read line; do echo got $line; done', ', stdin: true, stdinOnce: true'),
    );
    await box.kubectlMust('wait', '--for=condition=Ready', `pod/${name}`, '--timeout=60s');
    const { stdout } = await kubectlWith('one\ntwo\n', ['attach', '-i', '-q', name], carrier);
    expect(stdout).toBe('got one\ngot two\n');
  });
});

describe('kubectl exec', () => {
  test('runs within the Pod', async () => {
    expect(await box.kubectlMust('exec', pod, '--', 'hostname')).toBe(`${pod}\n`);
  });

  test('tells a program that the terminal has another size', async () => {
    // Rows and columns may come as two changes: the program looks until it sees both.
    const inner = 'for i in $(seq 300); do test "$(stty size)" = "50 150" && exit 0; sleep 0.1; done; exit 1';
    const resize = '(sleep 2; stty rows 50 cols 150 < /dev/tty) & ';
    const outcome = await atTerminal(`stty rows 40 cols 100; ${resize}kubectl exec -it ${pod} -- sh -c '${inner}'`);
    expect(outcome.status).toBe(0);
  });

  test('says what cannot be run', async () => {
    const missing = await box.kubectl('exec', pod, '--', 'no-such-program');
    expect(missing.status).not.toBe(0);
    expect(missing.stderr).toContain('no such file or directory');
    expect((await box.kubectl('exec', 'no-such-pod', '--', 'true')).stderr).toContain('pods "no-such-pod" not found');
  });
});

describe('kubectl cp', () => {
  test('copies both ways, byte for byte', async () => {
    const [from, there, back] = ['a', 'b', 'c'].map((name) => join(box.home, name));
    if (from === undefined || there === undefined || back === undefined) throw new Error('no paths');
    const bytes = Buffer.from(Array.from({ length: 3_000_000 }, (_, i) => (i * 7919) % 251));
    writeFileSync(from, bytes);
    // Where the cluster is an ordinary user's, no other user is there to own the copy.
    await box.kubectlMust('cp', '--no-preserve', from, `${pod}:${there}`);
    await box.kubectlMust('cp', `${pod}:${there}`, back);
    expect(readFileSync(back).equals(bytes)).toBe(true);
  });
});

describe.each(carriers)('kubectl port-forward over %s', (_, carrier) => {
  let forward: ChildProcess | undefined;
  afterAll(() => forward?.kill());

  const ask = (port: string) =>
    new Promise<string>((resolve, reject) => {
      const sent = get({ host: '127.0.0.1', port, path: '/', agent: false, timeout: 60_000 }, (answer) => {
        let body = '';
        answer.on('data', (data) => {
          body += data;
        });
        answer.on('end', () => resolve(body));
      });
      sent.on('timeout', () => sent.destroy(new Error('timeout')));
      sent.on('error', reject);
    });

  test('carries many connections at the same time', async () => {
    forward = spawn('kubectl', ['port-forward', `pod/${pod}`, ':8080'], { env: env(carrier) });
    const port = await new Promise<string>((resolve) => {
      forward?.stdout?.on('data', (data) => {
        const [, found] = /127\.0\.0\.1:(\d+) ->/.exec(String(data)) ?? [];
        if (found !== undefined) resolve(found);
      });
    });
    for (let round = 0; round < 4; round++) {
      const answers = await Promise.all(Array.from({ length: 50 }, () => ask(port)));
      expect(new Set(answers)).toEqual(new Set(['Hello Kubernetes!']));
    }
  });
});

describe('kubectl proxy', () => {
  const manifest = `
apiVersion: v1
kind: Pod
metadata: { name: behind, labels: { app: behind } }
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: host
      command: [${process.execPath}, ${join(root, 'test/e2e/behind-proxy.mjs')}]
      ports: [{ containerPort: 8080 }]
      readinessProbe: { tcpSocket: { port: 8080 }, periodSeconds: 1 }
---
apiVersion: v1
kind: Service
metadata: { name: behind }
spec: { selector: { app: behind }, ports: [{ name: http, port: 80, targetPort: 8080 }] }
`;
  const base = '/api/v1/namespaces/default';
  let proxy: ChildProcess | undefined;
  let url = '';
  const curl = async (...args: string[]) => (await run('curl', ['-sS', ...args], { env: env(), input: '' })).stdout;

  beforeAll(async () => {
    await apply('behind.yaml', manifest);
    await box.kubectlMust('wait', '--for=condition=Ready', 'pod/behind', '--timeout=60s');
    proxy = spawn('kubectl', ['proxy', '--port=0'], { env: env() });
    const port = await new Promise<string>((resolve) => {
      proxy?.stdout?.on('data', (data) => {
        const [, found] = /127\.0\.0\.1:(\d+)/.exec(String(data)) ?? [];
        if (found !== undefined) resolve(found);
      });
    });
    url = `http://127.0.0.1:${port}`;
    await eventually('an endpoint', async () =>
      (await curl('-o', '/dev/null', '-w', '%{http_code}', `${url}${base}/services/behind:http/proxy/`)) === '200'
        ? true
        : undefined,
    );
  });
  afterAll(() => proxy?.kill());

  test('leads to Services and Pods, with bodies, and links back through it', async () => {
    for (const [path, port] of [
      [`${base}/services/behind:http/proxy`, '80'],
      [`${base}/pods/behind/proxy`, '8080'],
    ] as const) {
      const link = `<a href="${path}/next">next</a>\n`;
      expect(await curl('-L', `${url}${path}?a=1`)).toBe(`GET /?a=1 0 ${path}/ ${link}`);
      expect(await curl('-d', 'four', `${url}${path}/b%2Fc`)).toBe(`POST /b%2Fc 4 ${path}/b%2Fc ${link}`);
      expect(
        await box.kubectlMust('get', '--raw', `${path.replace('/proxy', '').replace(':http', '')}:${port}/proxy/`),
      ).toMatch(/^GET \/ 0 /);
    }
    expect(await curl(`${url}${base}/services/hello-service/proxy/`)).toContain('Hello Kubernetes!');
    const big = join(box.home, 'big');
    writeFileSync(big, Buffer.alloc(20 << 20));
    expect(await curl('-T', big, `${url}${base}/pods/behind/proxy/up`)).toMatch(/^PUT \/up 20971520 /);
  });

  test('gives what comes as it comes, and ends it with its listener', async () => {
    const listener = spawn('curl', ['-sSN', `${url}${base}/services/behind:80/proxy/events`], { env: env() });
    await new Promise<void>((resolve) => {
      listener.stdout.on('data', (data) => {
        if (String(data).includes('data: begin')) resolve();
      });
    });
    listener.kill();
    await eventually('the end', async () =>
      (await box.kubectlMust('logs', 'behind')).includes('the listener is gone') ? true : undefined,
    );
  });

  test('carries WebSockets', async () => {
    const { WebSocket } = await import('ws');
    const socket = new WebSocket(`${url}${base}/services/behind:http/proxy/`);
    const heard: string[] = [];
    await new Promise((resolve, reject) => {
      socket.on('error', reject);
      socket.on('message', (message) => {
        if (heard.push(String(message)) === 2) resolve(undefined);
        else socket.send('to and fro');
      });
    });
    socket.terminate();
    expect(heard).toEqual(['hello', 'to and fro']);
  });

  test('says what is wrong in the words of Kubernetes, and lets in who may', async () => {
    const raw = async (path: string, ...as: string[]) =>
      (await box.kubectl('get', '--raw', `${base}/${path}/proxy/`, ...as)).stderr;
    expect(await raw('services/behind')).toContain('no endpoints available for service "behind"');
    expect(await raw('services/behind:81')).toContain('no service port 81 found for service "behind"');
    expect(await raw('pods/behind:81')).toMatch(
      /error trying to reach service: dial tcp 10\.244\.\d+\.\d+:81: connect: connection refused/,
    );
    expect(await raw('pods/behind', '--as=somebody')).toContain(
      'pods "behind" is forbidden: User "somebody" cannot get resource "pods/proxy" in API group ""',
    );
  });
});

describe('kubectl run', () => {
  test('run --rm -i passes input through, and removes the Pod', async () => {
    const args = [
      'run',
      'once',
      '-i',
      '--rm',
      '--quiet',
      '--restart=Never',
      '--image=host',
      '--command',
      '--',
      'sh',
      '-c',
    ];
    const { status, stdout } = await kubectlWith('to and fro\n', [...args, 'cat; echo end']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'to and fro\nend\n' });
    await eventually('the Pod is gone', async () => {
      expect((await box.kubectl('get', 'pod', 'once')).stderr).toContain('not found');
      return true;
    });
  });
});

describe('a StatefulSet', () => {
  const manifest = (version: number) => `
apiVersion: v1
kind: Service
metadata: { name: db }
spec: { clusterIP: None, selector: { app: db }, ports: [{ port: 80 }] }
---
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db }
spec:
  serviceName: db
  replicas: 3
  selector: { matchLabels: { app: db } }
  template:
    metadata: { labels: { app: db } }
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - { name: main, image: host, command: [/bin/sh, -c, 'trap exit TERM; sleep 1000 & wait'], env: [{ name: VERSION, value: "${version}" }] }
`;

  test('has Pods with names that stand in DNS', async () => {
    await apply('db.yaml', manifest(1));
    await box.kubectlMust('rollout', 'status', 'statefulset/db', '--timeout=60s');
    const names = await box.kubectlMust('get', 'pods', '-l', 'app=db', '-o', 'jsonpath={.items[*].metadata.name}');
    expect(names.split(' ').sort()).toEqual(['db-0', 'db-1', 'db-2']);
    expect(await box.kubectlMust('exec', 'db-1', '--', 'hostname')).toBe('db-1\n');
    for (const name of ['db-0', 'db-2']) {
      const ip = await box.kubectlMust('get', 'pod', name, '-o', 'jsonpath={.status.podIP}');
      await eventually(`the name of ${name}`, async () => {
        const out = await box.kubectlMust('exec', 'db-1', '--', 'dig', '+short', '+search', `${name}.db`);
        expect(out).toBe(`${ip}\n`);
        return true;
      });
    }
  });

  test('is updated from the last to the first, and goes back', async () => {
    await apply('db.yaml', manifest(2));
    await box.kubectlMust('rollout', 'status', 'statefulset/db', '--timeout=60s');
    expect(await box.kubectlMust('exec', 'db-0', '--', 'sh', '-c', 'echo $VERSION')).toBe('2\n');
    expect(await box.kubectlMust('rollout', 'history', 'statefulset/db')).toMatch(/1 +<none>\n2 +<none>/);
    await box.kubectlMust('rollout', 'undo', 'statefulset/db');
    await box.kubectlMust('rollout', 'status', 'statefulset/db', '--timeout=60s');
    expect(await box.kubectlMust('exec', 'db-0', '--', 'sh', '-c', 'echo $VERSION')).toBe('1\n');
    expect(await box.kubectlMust('get', 'statefulset', 'db')).toMatch(/db +3\/3/);
  });

  test('shrinks from the end', async () => {
    await box.kubectlMust('scale', 'statefulset/db', '--replicas=1');
    await eventually('one Pod', async () =>
      (await box.kubectlMust('get', 'pods', '-l', 'app=db', '-o', 'name')).trim() === 'pod/db-0' ? true : undefined,
    );
  });
});

describe('a DaemonSet', () => {
  const nodesOf = async () =>
    (await box.kubectlMust('get', 'pods', '-l', 'app=agent', '-o', 'jsonpath={.items[*].spec.nodeName}'))
      .split(' ')
      .sort();

  test('has a Pod on every node, is restarted and undone', async () => {
    await apply(
      'agent.yaml',
      `
apiVersion: apps/v1
kind: DaemonSet
metadata: { name: agent }
spec:
  selector: { matchLabels: { app: agent } }
  template:
    metadata: { labels: { app: agent } }
    spec:
      terminationGracePeriodSeconds: 1
      containers: [{ name: main, image: registry.k8s.io/pause:3.10 }]
`,
    );
    await box.kubectlMust('rollout', 'status', 'daemonset/agent', '--timeout=60s');
    expect(await nodesOf()).toEqual(['node-1', 'node-2', 'node-3']);
    const before = await box.kubectlMust('get', 'pods', '-l', 'app=agent', '-o', 'name');
    await box.kubectlMust('rollout', 'restart', 'daemonset/agent');
    await box.kubectlMust('rollout', 'status', 'daemonset/agent', '--timeout=60s');
    const after = await box.kubectlMust('get', 'pods', '-l', 'app=agent', '-o', 'name');
    expect(after.split('\n').filter((name) => name !== '' && before.includes(name))).toEqual([]);
    expect(await box.kubectlMust('rollout', 'history', 'daemonset/agent')).toMatch(/1 +<none>\n2 +<none>/);
    await box.kubectlMust('rollout', 'undo', 'daemonset/agent');
    await box.kubectlMust('rollout', 'status', 'daemonset/agent', '--timeout=60s');
    expect(await nodesOf()).toEqual(['node-1', 'node-2', 'node-3']);
  });

  test('stays on a node that is drained, when all else goes', async () => {
    const victims = await box.kubectlMust(
      'get',
      'pods',
      '-o',
      'jsonpath={.items[?(@.spec.nodeName=="node-2")].metadata.name}',
    );
    await box.kubectlMust(
      'drain',
      'node-2',
      '--ignore-daemonsets',
      '--force',
      '--delete-emptydir-data',
      '--timeout=60s',
    );
    const left = await box.kubectlMust(
      'get',
      'pods',
      '-o',
      'jsonpath={.items[?(@.spec.nodeName=="node-2")].metadata.name}',
    );
    expect(victims.split(' ').length).toBeGreaterThan(1);
    expect(left).toMatch(/^agent-\w+$/);
    expect(await box.kubectlMust('get', 'node', 'node-2')).toContain('SchedulingDisabled');
    await box.kubectlMust('uncordon', 'node-2');
    expect(await nodesOf()).toEqual(['node-1', 'node-2', 'node-3']);
  });
});
