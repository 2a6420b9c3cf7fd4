import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openLmdbStore } from './lmdb-store.ts';

const pageSize = 4_096;
let place: string;
/** A store with history, tombstones, values with pages of their own and a list of free pages. */
let whole: string;

beforeAll(async () => {
  place = mkdtempSync(join(tmpdir(), 'signalbox-damage-'));
  whole = join(place, 'whole');
  const store = await openLmdbStore(whole);
  for (let round = 0; round < 20; round++) {
    const key = (n: number) => `/r/${n}`;
    const writes = Array.from({ length: 40 }, (_, n) =>
      store.transact([
        n % 7 === round % 7
          ? { type: 'delete', key: key(n) }
          : { type: 'put', key: key(n), value: Buffer.alloc(((n * 97 + round) % 13) * 600, n) },
      ]),
    );
    await Promise.all(writes);
    if (round === 15) await store.compact((await store.revision()) - 200);
  }
  await store.close();
});
afterAll(() => rmSync(place, { recursive: true }));

function copyOf(name: string): { folder: string; file: string } {
  const folder = join(place, name);
  cpSync(whole, folder, { recursive: true, filter: (source) => !source.includes('lock') });
  return { folder, file: join(folder, 'data.mdb') };
}

test.each([
  ['is cut in the middle', (file: string) => truncateSync(file, statSync(file).size / 2), /ends/],
  ['is cut within a page', (file: string) => truncateSync(file, 5 * pageSize + 100), /ends/],
  ['has only its first page', (file: string) => truncateSync(file, pageSize), /ends within its first pages/],
  ['is empty', (file: string) => truncateSync(file, 0), /is empty/],
  ['is gone', (file: string) => rmSync(file), /is missing/],
  ['is another file', (file: string) => writeFileSync(file, 'hello, world\n'.repeat(9_000)), /not an LMDB file/],
  ['is a folder', replaceByFolder, /EISDIR/],
  ['is of another version of LMDB', (file: string) => patch(file, 28, [1]), /version 1, not 2/],
  ['has impossible pages', (file: string) => patch(file, 48, [3]), /cannot have/],
] as const)(
  'openLmdbStore says that the data file %s, by code and path, and leaves it alone',
  async (name, damage, problem) => {
    const { folder, file } = copyOf(name.replaceAll(' ', '-'));
    damage(file);
    const before = readdirSync(folder);
    const size = statSync(file, { throwIfNoEntry: false })?.size;
    for (let tries = 0; tries < 2; tries++) {
      const error = await openLmdbStore(folder).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'STORE_CORRUPTED', object: file, problem: expect.stringMatching(problem) });
    }
    expect(readdirSync(folder)).toEqual(before);
    expect(statSync(file, { throwIfNoEntry: false })?.size).toBe(size);
  },
);

test('openLmdbStore does not care what is in the table of readers that another process left', async () => {
  const { folder, file } = copyOf('readers');
  for (const content of ['garbage'.repeat(2_000), '']) {
    writeFileSync(`${file}-lock`, content);
    const store = await openLmdbStore(folder);
    expect((await store.list('/r/')).items.length).toBeGreaterThan(30);
    await store.close();
  }
  rmSync(`${file}-lock`, { force: true });
  mkdirSync(join(`${file}-lock`, 'x'), { recursive: true });
  await expect(openLmdbStore(folder)).rejects.toMatchObject({ code: 'STORE_UNREADABLE', object: folder });
});

test('LmdbStore whose file is cut while it is open says so, and its process lives', async () => {
  const { folder, file } = copyOf('cut-open');
  const program = await bundle(`
    import { truncateSync } from 'node:fs';
    import { openLmdbStore } from './src/store/lmdb-store.ts';
    const store = await openLmdbStore(process.argv[2]);
    await store.list('/');
    truncateSync(process.argv[3], 4096 * 3);
    const calls = [
      () => store.list('/'), () => store.get('/r/1'), () => store.revision(),
      () => store.transact([{ type: 'put', key: '/x', value: Buffer.alloc(9000) }]), () => store.compact(700),
    ];
    for (const call of calls) console.log(await call().then(() => 'done', (error) => error.code ?? String(error)));
    await store.close();
  `);
  const { code, signal, output } = await run(program, [folder, file]);
  expect({ code, signal }).toEqual({ code: 0, signal: null });
  expect(output.trim().split('\n')).toEqual(Array.from({ length: 5 }, () => 'STORE_CORRUPTED'));
});

test('LmdbStore over pages overwritten at random either has all that was written or says what is wrong', {
  timeout: 600_000,
}, async () => {
  const program = await bundle(`
    import { cpSync, rmSync, openSync, writeSync, readSync, closeSync, statSync, readFileSync } from 'node:fs';
    import { createHash } from 'node:crypto';
    import { openLmdbStore } from './src/store/lmdb-store.ts';
    const [, , whole, copy, from, to] = process.argv;
    const hash = (items) => createHash('sha256').update(items.map((i) => i.key + i.modRevision + Buffer.from(i.value).toString('base64')).join()).digest('hex');
    const look = async (store) => [hash((await store.list('/r/')).items), hash((await store.list('/r/', 700)).items), await store.revision()].join();
    const original = await openLmdbStore(whole);
    const expected = await look(original);
    await original.close();
    for (let seed = Number(from); seed < Number(to); seed++) {
      let state = seed * 2654435761 % 4294967296;
      const random = (n) => (state = (state * 1664525 + 1013904223) % 4294967296, Math.floor(state / 4294967296 * n));
      rmSync(copy, { recursive: true, force: true });
      cpSync(whole, copy, { recursive: true, filter: (source) => !source.includes('lock') });
      const file = openSync(copy + '/data.mdb', 'r+');
      const pages = statSync(copy + '/data.mdb').size / 4096;
      for (let n = 1 + random(3); n > 0; n--) {
        const page = random(8) === 0 ? random(2) : random(pages);
        const bytes = Buffer.alloc(4096);
        const at = page * 4096;
        const kind = random(5);
        if (kind === 0) writeSync(file, bytes, 0, 4096, at);
        else if (kind === 1) writeSync(file, Buffer.from(bytes.map(() => random(256))), 0, 4096, at);
        else if (kind === 2) { readSync(file, bytes, 0, 4096, random(pages) * 4096); writeSync(file, bytes, 0, 4096, at); }
        else if (kind === 3) writeSync(file, Buffer.from([random(256)]), 0, 1, at + random(4096));
        else writeSync(file, Buffer.from([random(256), random(256)]), 0, 2, at + 16 + random(40));
      }
      closeSync(file);
      console.log('begin ' + seed);
      let store;
      let outcome = '';
      try {
        store = await openLmdbStore(copy);
        outcome = (await look(store)) === expected ? 'whole' : 'CHANGED';
        for (let i = 0; i < 30; i++) await store.transact([{ type: 'put', key: '/new/' + i, value: Buffer.alloc(i * 400, i) }]);
        if ((await look(store)).split(',').slice(0, 2).join() !== expected.split(',').slice(0, 2).join()) outcome += ' CHANGED LATER';
      } catch (error) { outcome += ' ' + (error.code ?? error.stack); }
      await store?.close();
      console.log('end ' + seed + ' ' + outcome);
    }
  `);
  const outcomes: string[] = [];
  for (let from = 0; from < 400; from += 100) {
    const { code, signal, output } = await run(program, [whole, join(place, 'copy'), String(from), String(from + 100)]);
    outcomes.push(...output.split('\n').filter((line) => line.startsWith('end ')));
    if (code !== 0) outcomes.push(`${signal ?? code} after ${output.trimEnd().split('\n').at(-1)}`);
  }
  const bad = outcomes.filter((line) => !/^end \d+ (whole|whole STORE_\w+| STORE_\w+)$/.test(line));
  expect(bad).toEqual([]);
  expect(outcomes.filter((line) => line.endsWith('STORE_CORRUPTED')).length).toBeGreaterThan(100);
});

/** Bundles a program that uses this tree's sources, and returns its path. */
async function bundle(contents: string): Promise<string> {
  const outfile = join(place, `program-${readdirSync(place).length}.mjs`);
  await build({
    stdin: { contents, resolveDir: process.cwd(), loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    outfile,
    packages: 'external',
    // The program lies outside the tree where packages are found.
    plugins: [
      {
        name: 'packages',
        setup: (b) => b.onResolve({ filter: /^lmdb$/ }, () => ({ path: import.meta.resolve('lmdb'), external: true })),
      },
    ],
  });
  return outfile;
}

async function run(program: string, args: readonly string[]) {
  const child: ChildProcess = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  const timer = setTimeout(() => child.kill('SIGKILL'), 60_000);
  const [code, signal] = (await once(child, 'close')) as [number | null, NodeJS.Signals | null];
  clearTimeout(timer);
  return { code, signal, output };
}

function patch(file: string, at: number, bytes: readonly number[]): void {
  const handle = openSync(file, 'r+');
  writeSync(handle, Buffer.from(bytes), 0, bytes.length, at);
  closeSync(handle);
}

function replaceByFolder(file: string): void {
  rmSync(file);
  mkdirSync(file);
}
