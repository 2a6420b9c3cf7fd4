import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { processesOf } from './processes.ts';
import { eventually, root, run, Signalbox } from './signalbox.ts';

const box = new Signalbox();
let address = '';
const service = (policy: string) => `
apiVersion: v1
kind: Service
metadata: {name: announced}
spec:
  type: LoadBalancer
  externalTrafficPolicy: ${policy}
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080}]
`;

beforeAll(async () => {
  const path = box.manifest('announced.yaml', service('Cluster'));
  await box.must('up', '-f', join(root, 'examples/hello.yaml'), '-f', path);
  const ip = ['get', 'service', 'announced', '-o', 'jsonpath={.status.loadBalancer.ingress[0].ip}'];
  address = await eventually('an address', async () => (await box.kubectlMust(...ip)) || undefined);
});
afterAll(() => box.close());

const onClient = (...command: string[]) => box.run('exec', 'client', '--', ...command);

/** Which node says that it announces the address, as all nodes see it. */
const announcer = () =>
  eventually('one announcer, known to all', async () => {
    const url = 'http://127.0.0.1:7472/announcements';
    const pages = await Promise.all(
      [1, 2, 3].map((n) => box.must('exec', `node/node-${n}`, '--', 'curl', '-sS', '-m', '10', url)),
    );
    const names = new Set(pages.flatMap((page) => JSON.parse(page)).map((duty) => duty.announcedBy));
    const [name] = names;
    return names.size === 1 && typeof name === 'string' ? name : undefined;
  });

/** The link-layer address of the client's neighbour, which its kernel has asked for. */
async function neighbor(): Promise<string> {
  const { stdout } = await onClient('ip', 'neighbor', 'show', address);
  return /lladdr (\S+)/.exec(stdout)?.[1] ?? stdout;
}

async function macOf(node: string): Promise<string> {
  const link = await box.must('exec', `node/${node}`, '--', 'ip', '-o', 'link', 'show', 'eth1');
  return /link\/ether (\S+)/.exec(link)?.[1] ?? link;
}

async function killAgent(node: string): Promise<void> {
  for (const pid of processesOf(box.home)) {
    const { stdout } = await run('cat', [`/proc/${pid}/cmdline`]);
    if (!stdout.endsWith(`components/${node}.json\0`) || !stdout.includes('\0node\0')) continue;
    await run('kill', ['-9', `${pid}`]);
  }
}

const reached = () =>
  eventually('an answer at the address', async () => {
    const { stdout } = await onClient('curl', '-sS', '-m', '10', `http://${address}`);
    return stdout === 'Hello Kubernetes!' || undefined;
  });

describe('signalbox speaker, in the nodes of a cluster', () => {
  test('has one node answer for the address; when its agent is killed another', async () => {
    await reached();
    const first = await announcer();
    await eventually('the client knows it', async () => (await neighbor()) === (await macOf(first)) || undefined);
    await eventually('the event', async () => {
      const told = await box.kubectlMust('describe', 'service', 'announced');
      expect(told).toMatch(new RegExp(`nodeAssigned.*announcing ${address} from node "${first}" on eth1`));
      return true;
    });

    // It is started again at once: where that takes less time than others wait for it, it would go on as before.
    await eventually('another announces', async () => {
      await killAgent(first);
      return (await neighbor()) !== (await macOf(first)) || undefined;
    });
    await reached();
    const second = await announcer();
    expect(second).not.toBe(first);
    await eventually('the client knows it', async () => (await neighbor()) === (await macOf(second)) || undefined);
    // Of a node that does not answer within a second, status says nothing.
    await eventually('status says so', async () => {
      const { loadBalancers } = JSON.parse(await box.must('status', '-o', 'json'));
      expect(loadBalancers).toEqual([{ service: 'default/announced', address, announcedBy: [second] }]);
      expect(await box.must('status')).toContain(`${address}  default/announced, announced by ${second}\n`);
      return true;
    });
  });

  test('under externalTrafficPolicy Local a node with endpoints alone', async () => {
    await box.kubectlMust('scale', 'replicaset/hello', '--replicas=1');
    await box.kubectlMust('apply', '-f', box.manifest('local.yaml', service('Local')));
    await eventually(
      'the node of the one Pod announces',
      async () => {
        const at = ['get', 'pods', '-l', 'app=hello', '-o', 'jsonpath={.items[*].spec.nodeName}'];
        const where = await box.kubectlMust(...at);
        return (await announcer()) === where || undefined;
      },
      120_000,
    );
    await reached();
  });
});
