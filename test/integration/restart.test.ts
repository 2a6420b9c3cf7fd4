import { afterEach, describe, expect, test } from 'vitest';
import { createInformer } from '../../src/client/informer.ts';
import {
  type ControlPlane,
  persistently,
  type SimulatedAgents,
  simulateAgents,
  startControlPlane,
} from './control-plane.ts';

let plane: ControlPlane | undefined;
let agents: SimulatedAgents | undefined;
afterEach(async () => {
  agents?.stop();
  await plane?.close();
});

describe('createInformer', () => {
  test('createInformer tells every change once over restarts of the API server, and controllers go on', async () => {
    plane = await startControlPlane();
    const { client, server } = plane;
    agents = await simulateAgents(client, ['node-1', 'node-2']);
    const template = { metadata: { labels: { app: 'x' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
    const place = { namespace: 'default', name: 'x' };
    await client.create('replicaSets', {
      metadata: place,
      spec: { replicas: 2, selector: { matchLabels: { app: 'x' } }, template },
    });
    const informer = createInformer(client, 'configMaps', { namespace: 'default' });
    await informer.synced;
    const told = new Map<string, string[]>();
    informer.onChange(({ key, previous, current }) => {
      const step = `${previous?.data?.n ?? ''}→${current?.data?.n ?? ''}`;
      told.set(key, [...(told.get(key) ?? []), step]);
    });
    const write = (name: string, n: number) =>
      n === 0
        ? client.create('configMaps', { metadata: { namespace: 'default', name }, data: { n: '0' } })
        : client.patch(
            'configMaps',
            { namespace: 'default', name },
            { type: 'merge', body: { data: { n: String(n) } } },
          );
    for (let n = 0; n < 4; n++) {
      for (const name of ['a', 'b']) await persistently(() => write(name, n));
      await server.restart();
    }
    await persistently(() => client.delete('configMaps', { namespace: 'default', name: 'a' }));
    await expect.poll(() => told.get('default/a')?.at(-1)).toBe('3→');
    // Steps may be put together by a new list; each begins where the one before ended.
    for (const key of ['default/a', 'default/b']) {
      const steps = (told.get(key) ?? []).map((step) => step.split('→'));
      for (const [i, [from]] of steps.entries()) expect(from).toBe(i === 0 ? '' : steps[i - 1]?.[1]);
    }
    expect(told.get('default/b')?.at(-1)).toMatch(/→3$/);
    await persistently(() => client.patch('replicaSets', place, { type: 'merge', body: { spec: { replicas: 5 } } }));
    await expect.poll(async () => (await client.get('replicaSets', place)).status?.readyReplicas).toBe(5);
    expect((await client.list('pods')).items).toHaveLength(5);
    informer.stop();
  });
});
