import { describe, expect, test } from 'vitest';
import { Kept } from './kept.ts';

/** Things by their names, which tell when they are opened and closed. */
function things() {
  const told: string[] = [];
  const wanted = (...names: string[]) =>
    new Map(
      names.map((name) => [
        name,
        async () => {
          if (name.startsWith('bad')) throw new Error(name);
          told.push(`open ${name}`);
          return { name, close: () => told.push(`close ${name}`) };
        },
      ]),
    );
  return { told, wanted, kept: new Kept<{ readonly name: string; close(): unknown }>() };
}

describe('Kept', () => {
  test('keeps what both sets have, opens what is new, and gives back what has gone', async () => {
    const { told, wanted, kept } = things();
    (await kept.change(wanted('a', 'b'))).accept();
    const change = await kept.change(wanted('b', 'c'));
    expect(kept.values.map(({ name }) => name)).toEqual(['a', 'b']);
    expect([...change.open.keys()]).toEqual(['b', 'c']);
    expect(change.accept().map(({ name }) => name)).toEqual(['a']);
    expect(kept.values.map(({ name }) => name)).toEqual(['b', 'c']);
    expect(kept.find((key) => key === 'c')?.name).toBe('c');
    await kept.close();
    expect(told).toEqual(['open a', 'open b', 'open c', 'close c', 'close b']);
  });

  test('closes what it opened when one cannot be, and when a change is undone', async () => {
    const { told, wanted, kept } = things();
    (await kept.change(wanted('a'))).accept();
    await expect(kept.change(wanted('a', 'b', 'c', 'bad'))).rejects.toThrow('bad');
    expect(told).toEqual(['open a', 'open b', 'open c', 'close c', 'close b']);
    await (await kept.change(wanted('d'))).undo();
    expect(told.slice(-2)).toEqual(['open d', 'close d']);
    expect(kept.values.map(({ name }) => name)).toEqual(['a']);
  });
});
