import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { jsonLines } from './json-lines.ts';

async function* pieces(text: string, cuts: readonly number[]): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(text);
  const at = [...new Set(cuts.map((cut) => cut % (bytes.length + 1)))].sort((a, b) => a - b);
  for (const [i, start] of [0, ...at].entries()) yield bytes.subarray(start, at[i] ?? bytes.length);
}

async function collect(source: AsyncIterable<unknown>): Promise<unknown[]> {
  const all: unknown[] = [];
  for await (const each of source) all.push(each);
  return all;
}

describe('jsonLines', () => {
  test('jsonLines gives the same values however the bytes are cut', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue()), fc.array(fc.nat()), async (values, cuts) => {
        const text = values.map((value) => `${JSON.stringify(value)}\n`).join('');
        const plain: unknown = JSON.parse(JSON.stringify(values));
        expect(await collect(jsonLines(pieces(text, cuts), 1_000_000))).toEqual(plain);
      }),
      { numRuns: 200 },
    );
  });

  test('jsonLines skips empty lines and a last line that did not end', async () => {
    expect(await collect(jsonLines(pieces('{"a":1}\n\n \n{"b":', [3]), 100))).toEqual([{ a: 1 }]);
  });

  test('jsonLines refuses a line over the limit before it has it all', async () => {
    async function* endless() {
      for (;;) yield Buffer.alloc(1000, 'x');
    }
    await expect(collect(jsonLines(endless(), 10_000))).rejects.toThrow('longer than 10000 bytes');
  });

  test('jsonLines takes time in proportion to a long line that comes in many pieces', async () => {
    const time = async (count: number) => {
      async function* long() {
        yield Buffer.from('"');
        for (let i = 0; i < count; i++) yield Buffer.alloc(100, 'x');
        yield Buffer.from('"\n');
      }
      const start = performance.now();
      expect((await collect(jsonLines(long(), 1e9)))[0]).toHaveLength(count * 100);
      return performance.now() - start;
    };
    await time(1000);
    // Joined anew with each piece, this would copy 20 GB.
    expect(await time(20_000)).toBeLessThan(2000);
  });
});
