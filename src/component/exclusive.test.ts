import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { takeName } from './exclusive.ts';

const never = new AbortController().signal;

test('takeName gives a name to one after the other', async () => {
  const name = `signalbox-test-${randomUUID()}`;
  const steps: string[] = [];
  const work = async (who: string) => {
    const release = await takeName(name, never);
    steps.push(`${who} has it`);
    await sleep(20);
    steps.push(`${who} lets go`);
    release?.();
  };
  await Promise.all(['a', 'b', 'c'].map(work));
  const order = steps.filter((_, i) => i % 2 === 0).map((step) => step[0]);
  expect(steps).toEqual(order.flatMap((who) => [`${who} has it`, `${who} lets go`]));
  expect(order.sort()).toEqual(['a', 'b', 'c']);
});

test('takeName waits no longer than it may', async () => {
  const name = `signalbox-test-${randomUUID()}`;
  const release = await takeName(name, never);
  expect(await takeName(name, AbortSignal.timeout(50))).toBeUndefined();
  release?.();
});
