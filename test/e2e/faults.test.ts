import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { listChildren } from '../../src/kernel/process.ts';
import { bundleTypeScript } from '../run-typescript.ts';
import { processesOf } from './processes.ts';
import { eventually, root, run, Signalbox } from './signalbox.ts';

const hello = join(root, 'examples/hello.yaml');
const signalbox = join(root, 'bin/signalbox');
let box: Signalbox;
beforeEach(() => {
  box = new Signalbox();
});
afterEach(() => box.close());

/** A process and all that came of it, as long as they run. */
function family(pid: number): number[] {
  return [pid, ...listChildren(pid).flatMap(family)];
}

/** Whether a process is there; one that has ended and waits for the machine's init to take notice is not. */
function isRunning(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}

function namespacesOf(pids: readonly number[]): Set<string> {
  // Of one that has ended meanwhile there is nothing to read.
  return new Set(pids.filter(isRunning).map((pid) => readlinkSync(`/proc/${pid}/ns/net`)));
}

/** What the machine itself shows: mounts and links outside any cluster, and the firewall where we may read it. */
async function machine() {
  const rules = process.getuid?.() === 0 ? (await run('nft', ['list', 'ruleset'])).stdout : '';
  return { mounts: readFileSync('/proc/self/mountinfo', 'utf8'), links: readdirSync('/sys/class/net').sort(), rules };
}

function recordOf(name = 'default') {
  return JSON.parse(readFileSync(join(box.home, 'clusters', name, 'cluster.json'), 'utf8'));
}

describe('a test that is killed', () => {
  test('leaves neither cluster nor home behind', async () => {
    const source = `
      import { Signalbox } from './test/e2e/signalbox.ts';
      const box = new Signalbox();
      void box.must('up', '--nodes', '1').then(() => console.log(box.home));
      setInterval(() => {}, 1000);`;
    const child = spawn(process.execPath, ['-'], { cwd: root, stdio: ['pipe', 'pipe', 'inherit'] });
    child.stdin.end(bundleTypeScript(source));
    const home = String((await once(child.stdout, 'data'))[0]).trim();
    expect(processesOf(home).length).toBeGreaterThan(3);
    child.kill('SIGKILL');
    await eventually('the home is gone', async () => (existsSync(home) ? undefined : true), 60_000);
    expect(processesOf(home).filter(isRunning)).toEqual([]);
  });
});

describe('down', () => {
  test('leaves no process, namespace, mount, link, rule or file', async () => {
    const before = await machine();
    await box.must('up', '-f', hello);
    const pids = family(recordOf().process.pid);
    // unshare, the supervisor, the API server, the controllers, and for each node an agent, a proxy and a Pod at least.
    expect(pids.length).toBeGreaterThanOrEqual(13);
    // The cluster's own, three nodes' and four Pods', and the machine's, in which unshare stayed or not.
    expect(namespacesOf(pids).size).toBeGreaterThanOrEqual(8);
    await box.must('down');
    expect(pids.filter(isRunning)).toEqual([]);
    expect(processesOf(box.home)).toEqual([]);
    expect(await machine()).toEqual(before);
    expect(readdirSync(join(box.home, 'clusters'))).toEqual([]);
  });

  test('of what is not there says so and succeeds', async () => {
    expect(await box.run('down')).toMatchObject({ status: 0, stdout: 'There is no cluster default.\n' });
  });

  test('with --keep-data keeps the objects for the next up', async () => {
    await box.must('up', '-f', hello);
    await box.kubectlMust('create', 'configmap', 'kept', '--from-literal=a=b');
    await box.must('down', '--keep-data');
    expect(processesOf(box.home)).toEqual([]);
    await box.must('up', '-f', hello);
    // What `up` waits for is of this start: the Pods kept as Ready are so again when it returns.
    const names = await box.kubectlMust('get', 'pods', '-l', 'app=hello', '-o', 'jsonpath={.items[*].metadata.name}');
    for (const name of names.split(' ')) {
      const get =
        "require('http').get('http://127.0.0.1:8080', { agent: false }, (answer) => console.log(answer.resume().statusCode))";
      expect(await box.must('exec', `pod/${name}`, '--', process.execPath, '-e', get)).toBe('200\n');
    }
    const ip = await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.spec.clusterIP}');
    await eventually('six answers in turn', async () => {
      const urls = Array(6).fill(`http://${ip}`);
      const { stdout } = await box.run('exec', 'node/node-1', '--', 'curl', '-sSf', '--max-time', '10', ...urls);
      return stdout === 'Hello Kubernetes!'.repeat(6) || undefined;
    });
    expect(await box.kubectlMust('get', 'configmap', 'kept', '-o', 'jsonpath={.data.a}')).toBe('b');
  });
});

describe('up', () => {
  test('a second time says that the cluster runs, and applies the manifests', async () => {
    await box.must('up');
    const second = await box.must('up', '-f', hello);
    expect(second).toContain('runs already');
    expect(await box.kubectlMust('get', 'replicaset', 'hello', '-o', 'jsonpath={.status.readyReplicas}')).toBe('3');
  });

  test('after kill -9 of everything brings the objects back', async () => {
    await box.must('up', '-f', hello);
    const uid = await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.metadata.uid}');
    process.kill(recordOf().process.pid, 'SIGKILL');
    await eventually('all is gone', async () => (processesOf(box.home).length === 0 ? true : undefined));
    await box.must('up');
    expect(await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.metadata.uid}')).toBe(uid);
    await box.kubectlMust('wait', '--for=condition=Ready', 'pod', '-l', 'app=hello', '--timeout=60s');
    const ip = await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.spec.clusterIP}');
    const answer = await eventually('an answer after the restart', async () => {
      const { status, stdout } = await box.run(
        'exec',
        'node/node-1',
        '--',
        'curl',
        '-sS',
        '--max-time',
        '2',
        `http://${ip}`,
      );
      return status === 0 ? stdout : undefined;
    });
    expect(answer).toContain('Hello Kubernetes!');
  });

  test('restarts each component that is killed', async () => {
    await box.must('up', '-f', hello);
    const ip = await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.spec.clusterIP}');
    const isComponent = /\/signalbox(\.cjs)?\0(apiserver|controllers|proxy|node)\0/;
    const components = processesOf(box.home).filter(
      (pid) => isRunning(pid) && isComponent.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')),
    );
    expect(components).toHaveLength(8);
    for (const pid of components) process.kill(pid, 'SIGKILL');
    await eventually('the API answers', async () =>
      (await box.kubectl('get', 'nodes')).status === 0 ? true : undefined,
    );
    await box.kubectlMust('delete', 'pod', '-l', 'app=hello', '--wait=false');
    await eventually(
      'three Ready Pods',
      async () => {
        const ready = await box.kubectlMust('get', 'replicaset', 'hello', '-o', 'jsonpath={.status.readyReplicas}');
        return ready === '3' ? true : undefined;
      },
      60_000,
    );
    await eventually('an answer', async () => {
      const { status } = await box.run('exec', 'node/node-1', '--', 'curl', '-sS', '--max-time', '2', `http://${ip}`);
      return status === 0 ? true : undefined;
    });
  });

  test('brings no Pods in before all nodes are there, and they spread', async () => {
    const up = box.run('up', '-f', hello);
    const late = ['node-1', 'node-3'].map((name) => `components/${name}.json\0`);
    const isLate = (pid: number) => late.some((end) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').endsWith(end));
    const agents = await eventually('both agents', async () => {
      const found = processesOf(box.home).filter(isLate);
      for (const pid of found) process.kill(pid, 'SIGSTOP');
      return found.length === 2 ? found : undefined;
    });
    await eventually('cluster DNS on the third node', async () => {
      const ready = ['get', 'deployment', 'cluster-dns', '-n', 'kube-system', '-o', 'jsonpath={.status.readyReplicas}'];
      return (await box.kubectlMust(...ready)) === '1' || undefined;
    });
    expect(await box.kubectlMust('get', 'pods', '-o', 'name')).toBe('');
    for (const pid of agents) process.kill(pid, 'SIGCONT');
    expect(await up).toMatchObject({ status: 0 });
    const where = await box.kubectlMust('get', 'pods', '-o', 'jsonpath={.items[*].spec.nodeName}');
    expect(where.split(' ').sort()).toEqual(['node-1', 'node-2', 'node-3']);
  });

  test('returns when every node and cluster DNS lead to the Pods, and says who does not', async () => {
    await box.must('up', '--nodes', '2');
    const isProxy = /\0proxy\0.*node-2-proxy\.json\0$/;
    const stopped = processesOf(box.home).filter((pid) => isProxy.test(readFileSync(`/proc/${pid}/cmdline`, 'utf8')));
    expect(stopped).toHaveLength(1);
    for (const pid of stopped) process.kill(pid, 'SIGSTOP');
    const { status, stderr } = await box.run('up', '--wait', '3s', '-f', hello);
    expect(status).toBe(1);
    expect(stderr).toMatch(/the proxy of node-2 \(does not answer\) is not Ready after 3 s.*CLUSTER_NOT_READY/);
    for (const pid of stopped) process.kill(pid, 'SIGCONT');
    await box.must('up', '-f', hello);
    const pod = (await box.kubectlMust('get', 'pods', '-o', 'name')).split('\n')[0] ?? '';
    for (const node of ['node/node-1', 'node/node-2']) {
      const ip = await box.kubectlMust('get', 'service', 'hello-service', '-o', 'jsonpath={.spec.clusterIP}');
      expect(await box.must('exec', node, '--', 'curl', '-sSf', `http://${ip}`)).toBe('Hello Kubernetes!');
    }
    expect(await box.must('exec', pod, '--', 'curl', '-sSf', 'http://hello-service')).toBe('Hello Kubernetes!');
  });

  test('waits for all that keeps Pods, until they are as the manifest has them', async () => {
    const manifest = (version: string) =>
      box.manifest(
        'workloads.yaml',
        [
          { kind: 'StatefulSet', name: 'set', more: { serviceName: 'set', replicas: 2 } },
          { kind: 'DaemonSet', name: 'daemon', more: {} },
          { kind: 'Deployment', name: 'deployment', more: { replicas: 2 } },
        ]
          .map(({ kind, name, more }) => {
            const containers = [{ name: 'main', image: `gcr.io/google-samples/node-hello:${version}` }];
            return JSON.stringify({
              ...{ apiVersion: 'apps/v1', kind, metadata: { name } },
              spec: {
                selector: { matchExpressions: [{ key: 'app', operator: 'In', values: [name] }] },
                template: { metadata: { labels: { app: name } }, spec: { containers } },
                ...more,
              },
            });
          })
          .join('\n---\n'),
      );
    const images = async () =>
      (
        await box.kubectlMust(
          'get',
          'pods',
          '-o',
          'jsonpath={range .items[*]}{.spec.containers[0].image} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}{end}',
        )
      )
        .trim()
        .split('\n');
    for (const version of ['1.0', '2.0']) {
      await box.must('up', '--nodes', '2', '-f', manifest(version));
      const wanted = `gcr.io/google-samples/node-hello:${version} True`;
      expect((await images()).filter((line) => line === wanted)).toHaveLength(6);
    }
  });

  test('on a port that is taken says which, and leaves nothing', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { status, stderr } = await box.run('up', '--api-port', String(port));
    server.close();
    expect(status).toBe(1);
    expect(stderr).toContain(`127.0.0.1:${port} is in use by another program`);
    expect(stderr).toContain('[PORT_TAKEN]');
    expect(processesOf(box.home)).toEqual([]);
  });

  test('where no user namespaces are allowed says so', async () => {
    // In a user namespace that may have one more, and in that one: a user who is not root and may make none.
    const script = 'echo 1 > /proc/sys/user/max_user_namespaces && exec unshare --user -- "$@"';
    const outer = ['--user', '--map-root-user', 'sh', '-c', script, 'sh'];
    const { status, stderr } = await run('unshare', [...outer, process.execPath, signalbox, 'up'], { env: box.env });
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('[USER_NAMESPACES_FORBIDDEN]') });
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(processesOf(box.home)).toEqual([]);
  });

  test('on a kernel without nf_tables says so, and leaves nothing running', async () => {
    const without = join(root, 'test/e2e/without-netfilter.mjs');
    const { status, stderr } = await run(process.execPath, [without, process.execPath, signalbox, 'up'], {
      env: box.env,
    });
    expect({ status, stderr }).toEqual({ status: 1, stderr: expect.stringContaining('[KERNEL_LACKS_NFTABLES]') });
    expect(stderr.trim().split('\n')).toHaveLength(1);
    expect(processesOf(box.home)).toEqual([]);
  });

  test('with two names runs two clusters side by side', async () => {
    await Promise.all([box.must('up', '--nodes', '1'), box.must('up', '--name', 'other', '--nodes', '1')]);
    const paths = [await box.must('kubeconfig'), await box.must('kubeconfig', '--name', 'other')];
    expect(new Set(paths).size).toBe(2);
    for (const path of paths) {
      const { stdout } = await run('kubectl', ['--kubeconfig', path.trim(), 'get', 'nodes', '-o', 'name']);
      expect(stdout).toBe('node/node-1\n');
    }
    await box.must('down');
    expect(JSON.parse(await box.must('status', '--name', 'other', '-o', 'json'))).toMatchObject({ name: 'other' });
  });

  test.each([
    [['--nodes', '0'], 1, 'INVALID_CONFIG'],
    [['--proxy-mode', 'ebpf'], 1, 'INVALID_CONFIG'],
    [['--name', 'No Name'], 1, 'INVALID_CONFIG'],
    [['--wait', 'soon'], 2, 'It is a number with a unit'],
    [['--no-such-option'], 2, "unknown option '--no-such-option'\n(see `signalbox up --help`)"],
  ])('refuses %j', async (args, status, text) => {
    const outcome = await box.run('up', ...args);
    expect(outcome).toMatchObject({ status, stderr: expect.stringContaining(text) });
    expect(existsSync(join(box.home, 'clusters'))).toBe(false);
  });
});

describe('up -f', () => {
  test('of a wrong manifest names the field, applies the other documents and exits with 1', async () => {
    const path = box.manifest(
      'wrong.yaml',
      `
apiVersion: v1
kind: ConfigMap
metadata: { name: before }
---
apiVersion: v1
kind: Service
metadata: { name: wrong }
spec: { ports: [{ port: 70000 }] }
---
apiVersion: v1
kind: Service
metadata: { name: misspelt }
spec: { prots: [{ port: 80 }] }
---
apiVersion: v1
kind: Gadget
metadata: { name: unknown }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: after }
`,
    );
    const { status, stderr } = await box.run('up', '--nodes', '1', '-f', path);
    expect(status).toBe(1);
    expect(stderr).toMatch(
      /wrong\.yaml:6.*spec\.ports\[0\]\.port: Invalid value: 70000: must be between 1 and 65535, inclusive/,
    );
    expect(stderr).toMatch(/wrong\.yaml:11.*unknown field "spec\.prots"/);
    expect(stderr).toMatch(/wrong\.yaml:16.*kind that is not served \(Gadget in v1\)/);
    const names = await box.kubectlMust('get', 'configmaps', '-o', 'jsonpath={.items[*].metadata.name}');
    expect(names.split(' ')).toEqual(expect.arrayContaining(['before', 'after']));
    expect((await box.kubectl('get', 'service', 'wrong')).stderr).toContain('NotFound');
  });

  test('of a file that is not there says so before anything starts', async () => {
    const { status, stderr } = await box.run('up', '-f', '/nowhere/at-all.yaml');
    expect({ status, stderr }).toEqual({
      status: 1,
      stderr: expect.stringContaining('/nowhere/at-all.yaml cannot be read (ENOENT)'),
    });
    expect(processesOf(box.home)).toEqual([]);
  });

  test('reads standard input', async () => {
    const input = 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: piped }\n';
    expect(await box.runWith({ input }, 'up', '--nodes', '1', '-f', '-')).toMatchObject({ status: 0 });
    expect(await box.kubectlMust('get', 'configmap', 'piped', '-o', 'name')).toBe('configmap/piped\n');
  });

  test('of an unknown image without command waits, then says which Pod is not Ready and why', async () => {
    const path = box.manifest(
      'image.yaml',
      `
apiVersion: v1
kind: Pod
metadata: { name: web }
spec: { containers: [{ name: web, image: "nginx:1.27" }] }
`,
    );
    await box.must('up', '--nodes', '1');
    await box.kubectlMust('apply', '-f', path);
    const waiting = ['get', 'pod', 'web', '-o', 'jsonpath={.status.containerStatuses[0].state.waiting.reason}'];
    await eventually(
      'the Pod cannot run',
      async () => (await box.kubectlMust(...waiting)).includes('Image') || undefined,
    );
    const { status, stderr } = await box.run('up', '--wait', '1s', '-f', path);
    expect(status).toBe(1);
    expect(stderr).toMatch(/pod\/web.*(ErrImagePull|ImagePullBackOff)/i);
    await eventually('the event', async () => {
      const of = ['--field-selector', 'involvedObject.name=web', '-o', 'jsonpath={.items[*].message}'];
      expect(await box.kubectlMust('get', 'events', ...of)).toMatch(/nginx:1\.27.*command/);
      return true;
    });
  });
});

describe('other commands', () => {
  test.each([['status'], ['kubeconfig'], ['exec', 'client', '--', 'true']])(
    '%s without a cluster says how to start one',
    async (...args) => {
      const { status, stderr } = await box.run(...args);
      expect(status).toBe(1);
      expect(stderr).toBe(
        'signalbox: cluster default does not exist: start it with `signalbox up` [CLUSTER_NOT_RUNNING]\n',
      );
    },
  );

  test('exec passes on the exit status, standard input and the environment of the container', async () => {
    await box.must('up', '--nodes', '1');
    expect(await box.run('exec', 'node/node-1', '--', 'sh', '-c', 'exit 7')).toMatchObject({ status: 7 });
    expect(await box.runWith({ input: 'through' }, 'exec', 'client', '--', 'cat')).toMatchObject({
      status: 0,
      stdout: 'through',
    });
    expect(await box.run('exec', 'pod/nobody', '--', 'true')).toMatchObject({
      status: 1,
      stderr: expect.stringContaining('[TARGET_NOT_FOUND]'),
    });
    expect(await box.run('exec', 'moon', '--', 'true')).toMatchObject({ status: 2 });
  });

  test('the kubeconfig can be read by its owner only', async () => {
    await box.must('up', '--nodes', '1');
    const { stdout } = await run('stat', ['-c', '%a', (await box.must('kubeconfig')).trim()]);
    expect(stdout).toBe('600\n');
  });
});
