import { afterEach, expect, test } from 'vitest';
import { sleep } from '../../src/component/backoff.ts';
import { type ControlPlane, type SimulatedAgents, simulateAgents, startControlPlane } from './control-plane.ts';

let plane: ControlPlane | undefined;
let agents: SimulatedAgents | undefined;
afterEach(async () => {
  agents?.stop();
  await plane?.close();
});

test('startControllers is at rest when all is as it should be: nothing is written again and again', async () => {
  plane = await startControlPlane();
  const { client } = plane;
  agents = await simulateAgents(client, ['node-1', 'node-2']);
  const namespace = 'default';
  const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  const spec = { replicas: 3, selector: { matchLabels: { app: 'x' } }, template };
  await client.create('deployments', { metadata: { namespace, name: 'd' }, spec });
  for (const [name, more] of Object.entries({
    plain: {},
    headless: { clusterIP: 'None' },
    nobody: { selector: { app: 'nobody' } },
  }))
    await client.create('services', {
      metadata: { namespace, name, labels: { a: 'b' } },
      spec: { selector: { app: 'x' }, ports: [{ port: 80 }], ...more },
    });
  await client.create('services', { metadata: { namespace, name: 'hand' }, spec: { ports: [{ port: 80 }] } });
  await client.create('endpoints', {
    metadata: { namespace, name: 'hand' },
    subsets: [{ addresses: [{ ip: '192.0.2.1' }], ports: [{ port: 80 }] }],
  });
  await expect
    .poll(async () => (await client.get('deployments', { namespace, name: 'd' })).status?.availableReplicas)
    .toBe(3);
  // One revision counts for all resources of this server.
  const revision = async () => (await client.list('pods')).resourceVersion;
  // What was begun comes to its end, later on a busy machine.
  const changes = async () => {
    const from = await revision();
    await sleep(500);
    await plane?.controllers.drain();
    return Number(await revision()) - Number(from);
  };
  await expect.poll(changes).toBe(0);
  const before = await revision();
  await client.patch(
    'services',
    { namespace, name: 'plain' },
    { type: 'merge', body: { metadata: { annotations: { touched: 'yes' } } } },
  );
  await sleep(700);
  expect(Number(await revision()) - Number(before)).toBe(1);
});
