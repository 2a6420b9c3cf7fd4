import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTestServer } from '../../src/apiserver/test-server.ts';
import { connect } from '../../src/client/client.ts';
import { writeKubeconfig } from '../../src/client/kubeconfig.ts';
import { parseControllersConfig, runControllers } from '../../src/controllers/run.ts';

test('runControllers runs the chosen controllers by a kubeconfig, and returns when it is told to stop', async () => {
  const server = await startTestServer();
  const folder = await mkdtemp(join(tmpdir(), 'controllers-'));
  const client = connect(server.admin);
  try {
    const kubeconfig = join(folder, 'kubeconfig');
    const rootCaFile = join(folder, 'ca.crt');
    await writeKubeconfig(kubeconfig, { name: 'test', ...server.admin });
    await writeFile(rootCaFile, 'another authority');
    const stop = new AbortController();
    const config = parseControllersConfig({ kubeconfig, rootCaFile, controllers: ['serviceaccount'] });
    const run = runControllers(config, stop.signal);
    const map = { namespace: 'default', name: 'kube-root-ca.crt' };
    await expect
      .poll(async () => (await client.get('configMaps', map).catch(() => undefined))?.data)
      .toEqual({ 'ca.crt': 'another authority' });
    await client.create('services', {
      metadata: { namespace: 'default', name: 's' },
      spec: { selector: { a: 'b' }, ports: [{ port: 80 }] },
    });
    stop.abort();
    await run;
    const labelSelector = 'kubernetes.io/service-name=s';
    expect((await client.list('endpointSlices', { labelSelector })).items).toEqual([]);

    const missing = parseControllersConfig({ kubeconfig, rootCaFile: join(folder, 'none') });
    await expect(runControllers(missing, stop.signal)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  } finally {
    client.close();
    await server.close();
    await rm(folder, { recursive: true });
  }
});
