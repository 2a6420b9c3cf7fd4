import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTestServer } from '../../src/apiserver/test-server.ts';
import { connect } from '../../src/client/client.ts';
import { writeKubeconfig } from '../../src/client/kubeconfig.ts';
import { parseControllersConfig, runControllers } from '../../src/controllers/run.ts';
import { freePort } from '../free-port.ts';

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

test('runControllers tells probes whether it works, stands by, or has not reached the API server', async () => {
  const server = await startTestServer();
  const folder = await mkdtemp(join(tmpdir(), 'controllers-'));
  const stop = new AbortController();
  const runs: Promise<void>[] = [];
  /** One more candidate; gives the text of one of its pages, and the status before it. */
  const candidate = async (name: string, api: Parameters<typeof writeKubeconfig>[1]) => {
    const kubeconfig = join(folder, name);
    await writeKubeconfig(kubeconfig, api);
    const port = await freePort();
    const healthzBindAddress = `127.0.0.1:${port}`;
    const config = parseControllersConfig({ kubeconfig, healthzBindAddress, controllers: ['endpointslice'] });
    runs.push(runControllers(config, stop.signal));
    return async (path: string) => {
      const answer = await fetch(`http://${healthzBindAddress}${path}`).catch(() => undefined);
      return answer && `${answer.status} ${await answer.text()}`;
    };
  };
  try {
    const first = await candidate('first', { name: 'test', ...server.admin });
    await expect.poll(() => first('/readyz')).toBe('200 ok');
    const second = await candidate('second', { name: 'test', ...server.admin });
    await expect.poll(() => second('/readyz')).toBe('200 ok: another one leads');
    const nobody = `https://127.0.0.1:${await freePort()}`;
    const third = await candidate('third', { name: 'test', ...server.admin, server: nobody });
    await expect.poll(() => third('/readyz')).toMatch(/^503 /);
    expect(await third('/healthz')).toBe('200 ok');
    stop.abort();
    await Promise.all(runs);
    expect(await first('/healthz')).toBeUndefined();
  } finally {
    stop.abort();
    await Promise.allSettled(runs);
    await server.close();
    await rm(folder, { recursive: true });
  }
});
