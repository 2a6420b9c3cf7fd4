import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

const root = join(import.meta.dirname, '../..');

/** A project outside of the repository that has the package. */
let project: string;
beforeAll(() => {
  project = mkdtempSync(join(tmpdir(), 'signalbox-package-'));
  mkdirSync(join(project, 'node_modules/@types'), { recursive: true });
  symlinkSync(root, join(project, 'node_modules/signalbox'));
  symlinkSync(join(root, 'node_modules/@types/node'), join(project, 'node_modules/@types/node'));
});
afterAll(() => rmSync(project, { recursive: true, force: true }));

/** Runs Node in that project with options that decide what kinds of modules it takes. */
const node = (...words: string[]) => execFileSync(process.execPath, words, { cwd: project, encoding: 'utf8' });

describe('signalbox/testing', () => {
  test('is imported by modules, and required by scripts that may require no modules', () => {
    const says = 'console.log(typeof startCluster)';
    const imported = `import { startCluster } from 'signalbox/testing'; ${says}`;
    expect(node('--input-type=module', '--eval', imported)).toBe('function\n');
    const required = `const { startCluster } = require('signalbox/testing'); ${says}`;
    expect(node('--no-experimental-require-module', '--eval', required)).toBe('function\n');
  });

  const source = `
    import { type Manifest, startCluster, type TestCluster } from 'signalbox/testing';
    export async function use(): Promise<string | undefined> {
      const cluster: TestCluster = await startCluster({ nodes: 2, ipFamily: 'dual' });
      const map: Manifest = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data: { key: 'value' } };
      await cluster.apply(map);
      await cluster.apply(['hello.yaml', { apiVersion: 'v1', kind: 'Service', spec: { ports: [{ port: 80 }] } }]);
      const service = await cluster.client.get('services', { namespace: 'default', name: 'hello' });
      await cluster.apply(service, { wait: false });
      // @ts-expect-error there is no such mode
      await startCluster({ proxyMode: 'ebpf' });
      return service.spec?.clusterIP;
    }`;

  test.each([
    ['a.mts', 'nodenext', 'nodenext'],
    ['b.cts', 'node16', 'node16'],
    ['c.ts', 'esnext', 'bundler'],
  ])('has types for %s with module %s and resolution %s', (file, module, resolution) => {
    writeFileSync(join(project, file), source);
    const strictly = ['--strict', '--exactOptionalPropertyTypes', '--skipLibCheck', 'false', '--types', 'node'];
    const words = ['--noEmit', '--target', 'es2022', '--module', module, '--moduleResolution', resolution];
    const tsc = join(root, 'node_modules/typescript/bin/tsc');
    const { status, stdout } = spawnSync(process.execPath, [tsc, ...words, ...strictly, file], {
      cwd: project,
      encoding: 'utf8',
    });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

test('npm pack takes along what runs and its declarations, no sources, tests or leftovers of the build', () => {
  // The names are what counts: npm compresses what it lists, which takes long with the real contents.
  const likeness = join(project, 'likeness');
  for (const folder of ['bin', 'deploy', 'dist', 'docs', 'examples', 'src', 'test'])
    for (const entry of readdirSync(join(root, folder), { recursive: true, withFileTypes: true })) {
      const parent = join(likeness, relative(root, entry.parentPath));
      mkdirSync(parent, { recursive: true });
      if (entry.isFile()) writeFileSync(join(parent, entry.name), '');
    }
  for (const name of ['LICENSE', 'README.md', 'package.json', 'tsconfig.json'])
    copyFileSync(join(root, name), join(likeness, name));
  const words = ['pack', '--dry-run', '--json', '--ignore-scripts'];
  const [packed] = JSON.parse(execFileSync('npm', words, { cwd: likeness, encoding: 'utf8', stdio: 'pipe' }));
  const files = (packed.files as { path: string }[]).map(({ path }) => path);
  const needed = ['LICENSE', 'README.md', 'bin/signalbox', 'dist/bin/signalbox.cjs', 'dist/bin/commands/proxy.cjs'];
  const library = ['dist/bin/testing.js', 'dist/bin/testing.cjs', 'dist/lib/library/required.d.cts'];
  expect(files).toEqual(expect.arrayContaining([...needed, ...library, 'deploy/proxy/daemonset.yaml']));
  const known =
    /^(?:LICENSE|README\.md|package\.json|bin\/|dist\/bin\/|dist\/lib\/.*\.d\.c?ts$|deploy\/|docs\/|examples\/)/;
  expect(files.filter((file) => !known.test(file) || /\.tsbuildinfo/.test(file))).toEqual([]);
});
