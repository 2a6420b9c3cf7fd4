import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, test } from 'vitest';
import { openLmdbStore } from './lmdb-store.ts';

/** Kills, each somewhere else in the load. */
const rounds = 50;

/** Writes without end from 16 sides, and prints each key after its write was acknowledged. */
const writer = `
import { openLmdbStore } from './src/store/lmdb-store.ts';
const [, , path, round] = process.argv;
const store = await openLmdbStore(path);
const writeOn = async (n) => {
  for (let i = 0; ; i++) {
    const key = '/r/' + round + '-' + n + '-' + i;
    const result = await store.transact([{ type: 'put', key, value: Buffer.alloc(500, i), expect: 0 }]);
    process.stdout.write(key + ' ' + result.revision + '\\n');
  }
};
for (let n = 0; n < 16; n++) writeOn(n);
`;

test('LmdbStore loses no acknowledged write when its process is killed', { timeout: 600_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-crash-'));
  const program = join(dir, 'writer.mjs');
  await build({
    stdin: { contents: writer, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile: program,
    packages: 'external',
    // The program lies outside the tree where packages are found.
    plugins: [
      {
        name: 'packages',
        setup: (b) => b.onResolve({ filter: /^lmdb$/ }, () => ({ path: import.meta.resolve('lmdb'), external: true })),
      },
    ],
    banner: { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);" },
  });
  const data = join(dir, 'data');
  const acknowledged = new Map<string, number>();
  for (let round = 0; round < rounds; round++) {
    for (const [key, revision] of await writeUntilKilled(program, data, round)) acknowledged.set(key, revision);
    const store = await openLmdbStore(data);
    const { items, revision } = await store.list('/r/');
    const stored = new Map(items.map((item) => [item.key, item.modRevision]));
    expect([...acknowledged].filter(([key, at]) => stored.get(key) !== at)).toEqual([]);
    expect(revision).toBe([...stored.values()].reduce((a, b) => Math.max(a, b), 0));
    await store.close();
  }
  expect(acknowledged.size).toBeGreaterThan(100);
  await rm(dir, { recursive: true });
});

function writeUntilKilled(program: string, data: string, round: number): Promise<Map<string, number>> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, data, String(round)], { stdio: ['ignore', 'pipe', 'inherit'] });
    let text = '';
    const killAt = 2_000 * (1 + (round % 8));
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      // Somewhere in the middle of the load, a different place each round.
      if (text.length < killAt && text.length + chunk.length >= killAt) child.kill('SIGKILL');
      text += chunk;
    });
    child.on('error', reject);
    child.on('close', () => {
      const lines = text.split('\n').slice(0, -1);
      resolve(new Map(lines.map((line) => [line.split(' ')[0] ?? '', Number(line.split(' ')[1])])));
    });
  });
}
