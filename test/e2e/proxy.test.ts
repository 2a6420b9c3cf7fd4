import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { eventually, root, Signalbox } from './signalbox.ts';

const box = new Signalbox();
beforeAll(() => box.must('up', '-f', join(root, 'examples/hello.yaml')));
afterAll(() => box.close());

const nodeIps = { 'node-1': '192.168.101.3', 'node-2': '192.168.101.4', 'node-3': '192.168.101.5' };

const balanced = `
apiVersion: v1
kind: Service
metadata: {name: balanced}
spec:
  type: LoadBalancer
  externalTrafficPolicy: Local
  healthCheckNodePort: 32100
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080}]
`;

/** A page of a node, as a balancer outside sees it. */
async function ask(url: string): Promise<{ readonly status: number; readonly headers: string; readonly body: string }> {
  const stdout = await box.must('exec', 'client', '--', 'curl', '-sS', '-i', '--max-time', '10', url);
  const [headers = '', body = ''] = stdout.split('\r\n\r\n');
  return { status: Number(headers.split(' ')[1]), headers, body };
}

describe('signalbox proxy, on the nodes of a cluster', () => {
  test('tells balancers which nodes have endpoints of a Service (healthCheckNodePort)', async () => {
    await box.kubectlMust('apply', '-f', box.manifest('balanced.yaml', balanced));
    const wherePods = async () =>
      (await box.kubectlMust('get', 'pods', '-l', 'app=hello', '-o', 'jsonpath={.items[*].spec.nodeName}')).split(' ');
    const asExpected = async () => {
      const pods = await wherePods();
      for (const [node, ip] of Object.entries(nodeIps)) {
        const localEndpoints = pods.filter((each) => each === node).length;
        const { status, headers, body } = await ask(`http://${ip}:32100/healthz`);
        expect(status).toBe(localEndpoints > 0 ? 200 : 503);
        expect(headers.toLowerCase()).toContain(`x-load-balancing-endpoint-weight: ${localEndpoints}`);
        const service = { namespace: 'default', name: 'balanced' };
        expect(JSON.parse(body)).toEqual({ service, localEndpoints, serviceProxyHealthy: true });
      }
      return pods.length;
    };
    expect(await eventually('every node answers', asExpected)).toBe(3);
    await box.kubectlMust('scale', 'replicaset/hello', '--replicas=1');
    await eventually('two nodes have none', async () => ((await asExpected()) === 1 ? true : undefined));
    await box.kubectlMust('delete', 'service', 'balanced');
    await eventually('nobody answers any more', async () => {
      const { status } = await box.run(
        'exec',
        'client',
        '--',
        'curl',
        '-sS',
        '--max-time',
        '3',
        'http://192.168.101.3:32100',
      );
      return status === 7 || undefined;
    });
  });

  test('is not there for balancers when its Node is about to be deleted, and alive all the same', async () => {
    const health = 'http://192.168.101.4:10256';
    await eventually('healthy', async () => {
      expect(await ask(`${health}/healthz`)).toMatchObject({
        status: 200,
        body: expect.stringContaining('"nodeEligible":true'),
      });
      return true;
    });
    await box.kubectlMust('taint', 'node', 'node-2', 'ToBeDeletedByClusterAutoscaler=now:NoSchedule');
    await eventually('unhealthy', async () => (await ask(`${health}/healthz`)).status === 503 || undefined);
    expect((await ask(`${health}/livez`)).status).toBe(200);
    await box.kubectlMust('taint', 'node', 'node-2', 'ToBeDeletedByClusterAutoscaler-');
    await eventually('healthy', async () => (await ask(`${health}/healthz`)).status === 200 || undefined);
  });

  test('has its start told at the Node, and a contest at the Service that lost it', async () => {
    await eventually('the start', async () => {
      const described = await box.kubectlMust('describe', 'node', 'node-3');
      expect(described).toMatch(/Normal +Starting +\S+( \(.*\))? +kube-proxy/);
      return true;
    });
    const claiming = (name: string) =>
      box.manifest(
        `${name}.yaml`,
        `
apiVersion: v1
kind: Service
metadata: {name: ${name}}
spec:
  externalIPs: [192.168.102.50]
  selector: {app: hello}
  ports: [{port: 80, targetPort: 8080}]
`,
      );
    await box.kubectlMust('apply', '-f', claiming('first'));
    // Times of objects are whole seconds, and the older one keeps the address.
    await new Promise((resolve) => setTimeout(resolve, 1100));
    await box.kubectlMust('apply', '-f', claiming('second'));
    await eventually('the event', async () => {
      const told = await box.kubectlMust('describe', 'service', 'second');
      return /AddressClaimed.*192\.168\.102\.50 80 is served for default\/first/.test(told) || undefined;
    });
    expect(await box.kubectlMust('describe', 'service', 'first')).not.toContain('AddressClaimed');
  });
});
