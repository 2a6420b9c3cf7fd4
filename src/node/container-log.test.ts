import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openContainerLog } from './container-log.ts';
import { type LogOptions, readLogs } from './log-reader.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-log-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const noon = Date.parse('2026-01-01T12:00:00.123Z');

async function write(chunks: readonly (string | Buffer)[], run = 0, now = () => noon): Promise<void> {
  const stream = new PassThrough();
  openContainerLog(folder, run, now).take(stream, 'stdout');
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await new Promise((resolve) => stream.once('close', resolve));
}

async function read(options: Partial<LogOptions> = {}): Promise<string> {
  const pieces = [];
  for await (const piece of readLogs(folder, { run: 0, ...options })) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

describe('openContainerLog', () => {
  it('openContainerLog writes lines with time, stream and tag', async () => {
    await write(['one\ntw', 'o\n', 'rest']);
    expect(readFileSync(join(folder, '0.log'), 'utf8')).toBe(
      ['one', 'two', 'rest'].map((line) => `2026-01-01T12:00:00.123000000Z stdout F ${line}\n`).join(''),
    );
  });

  it('openContainerLog cuts long lines into parts, which read as one again', async () => {
    const long = `x${'€'.repeat(13_333)}`;
    await write([`${long}\nshort\n`]);
    const tags = readFileSync(join(folder, '0.log'), 'utf8')
      .split('\n')
      .map((line) => line.split(' ')[2]);
    expect(tags).toEqual(['P', 'P', 'F', 'F', undefined]);
    expect(await read()).toBe(`${long}\nshort\n`);
  });

  it('openContainerLog keeps to two files of 10 MiB a run, and to two runs', async () => {
    const chunk = Buffer.from(`${'y'.repeat(999)}\n`.repeat(1000));
    await write(Array.from({ length: 25 }, () => chunk));
    for (const name of ['0.log', '0.log.1']) expect(statSync(join(folder, name)).size).toBeLessThanOrEqual(10 << 20);
    await write(['second\n'], 1);
    expect(existsSync(join(folder, '0.log'))).toBe(true);
    await write(['third\n'], 2);
    expect(existsSync(join(folder, '0.log')) || existsSync(join(folder, '0.log.1'))).toBe(false);
  });

  it('openContainerLog and readLogs give back what was written, however it came', async () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'ä', '\n', '\r', ' ', '\t', '€'), maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(fc.array(text, { maxLength: 8 }), async (chunks) => {
        rmSync(folder, { recursive: true, force: true });
        await write(chunks.filter((c) => c !== ''));
        const all = chunks.join('');
        expect(await read()).toBe(all === '' || all.endsWith('\n') ? all : `${all}\n`);
      }),
      { numRuns: 50 },
    );
  });
});

describe('readLogs', () => {
  it('readLogs gives the tail, what came since, times, and so many bytes', async () => {
    let now = noon;
    await write(['a\n', 'b\n', 'c\n'], 0, () => (now += 1000));
    expect(await read({ tailLines: 2 })).toBe('b\nc\n');
    expect(await read({ tailLines: 0 })).toBe('');
    expect(await read({ sinceTime: noon + 2000 })).toBe('b\nc\n');
    expect(await read({ timestamps: true, tailLines: 1 })).toBe('2026-01-01T12:00:03.123000000Z c\n');
    expect(await read({ limitBytes: 3 })).toBe('a\nb');
    expect(await read({ run: 7 })).toBe('');
  });
});
