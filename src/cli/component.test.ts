import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runComponent } from './component.ts';

let folder: string;
const { KUBECONFIG: before } = process.env;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'component-'));
});
afterAll(async () => {
  if (before === undefined) delete process.env.KUBECONFIG;
  else process.env.KUBECONFIG = before;
  await rm(folder, { recursive: true });
});

describe('runComponent', () => {
  test.each([
    ['proxy', { mode: 'userspace', clientConnection: { kubeconfig: '/of/the/configuration' } }],
    ['controllers', { kubeconfig: '/of/the/configuration' }],
    ['speaker', { kubeconfig: '/of/the/configuration' }],
  ] as const)('%s goes by --kubeconfig, whatever its configuration names', async (component, settings) => {
    const config = join(folder, component);
    await writeFile(config, JSON.stringify(settings));
    const run = (options: { kubeconfig?: string }) => runComponent(component, { config, ...options });
    await expect(run({})).rejects.toThrow('kubeconfig /of/the/configuration cannot be read');
    await expect(run({ kubeconfig: '/of/the/option' })).rejects.toThrow('kubeconfig /of/the/option cannot be read');
  });

  test('says which configuration file cannot be read, and where', async () => {
    const config = join(folder, 'wrong.yaml');
    await expect(runComponent('speaker', { config })).rejects.toThrow(`${config} cannot be read (ENOENT)`);
    await writeFile(config, 'nodeName: a\nnodeName: b\n');
    await expect(runComponent('speaker', { config })).rejects.toThrow(/wrong\.yaml cannot be read \(.* at line 2/);
  });
});
