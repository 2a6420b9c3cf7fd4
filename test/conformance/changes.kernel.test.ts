import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reasonToSkipChange } from './limits.ts';
import { describeModes } from './modes.ts';
import { modelOf } from './objects.ts';
import { families } from './places.ts';
import type { Scenario, ServiceSetting } from './scenario.ts';
import { type CallIn, Stage } from './stage.ts';

let number = 40;
/** Session affinity's, seconds; short, as it is waited for, and longer if the machine has too much else to do. */
const timeouts = [4, 8, 16, 32];

/** A scenario with one Service that has its own name and cluster IP. */
function scenarioOf(service: ServiceSetting): Scenario {
  return { name: 'changes', firstService: number++, services: [service], calls: [] };
}

/** The same Service, changed. */
function changed(scenario: Scenario, change: Partial<ServiceSetting>): Scenario {
  return { ...scenario, services: scenario.services.map((service) => ({ ...service, ...change })) };
}

function same(one: readonly string[], other: readonly string[]): boolean {
  return one.every((word, i) => word === other[i]);
}

describeModes('changes', (mode) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(mode);
  }, 120_000);
  afterAll(() => stage.close());

  /** A test, unless the mode has a reason to skip it. */
  function tried(name: string, body: () => Promise<void>, milliseconds?: number): void {
    const reason = reasonToSkipChange(mode, name);
    if (reason !== undefined) test.skip(`${name} (${reason})`);
    else test(name, { timeout: milliseconds ?? 120_000 }, body);
  }

  const toClusterIp = (scenario: Scenario): CallIn[] =>
    families.map((family) => ({ scenario, family, call: { from: 'podC', to: 'cluster-ip' } }));
  const crowds = async (calls: readonly CallIn[]) => (await Promise.all(calls.map((c) => stage.crowd(c)))).flat();
  const serve = async (scenario: Scenario) => expect(await stage.serve(modelOf(scenario))).toEqual([]);
  const one = (callIn: CallIn) => stage.outcomes(callIn, { times: 1, timeout: 20_000 });

  /** One more client, so that modes that go round the endpoints are not where they were. */
  const turn = (scenario: Scenario) =>
    Promise.all(families.map((family) => one({ scenario, family, call: { from: 'podD', to: 'cluster-ip' } })));

  /** Three rounds of a crowd, each within the time-out of the one before; with a longer one if the machine was too slow. */
  async function stayingCrowd(): Promise<(readonly string[])[]> {
    for (const timeout of timeouts) {
      const scenario = scenarioOf({ affinity: timeout, endpoints: ['podA', 'podB', 'podD'] });
      await serve(scenario);
      const calls = toClusterIp(scenario);
      const rounds: (readonly string[])[] = [];
      let longest = 0;
      for (let last = performance.now(); rounds.length < 3; ) {
        if (rounds.length > 0) await sleep(0.6 * timeout * 1000);
        const began = performance.now();
        rounds.push(await crowds(calls));
        longest = Math.max(longest, performance.now() - last);
        last = began;
      }
      if (longest < 0.95 * timeout * 1000) return rounds;
    }
    throw new Error('this machine has no time for this test');
  }

  tried(
    'a client stays with its endpoint while it comes within the time-out, counted from the last time',
    async () => {
      const [first = [], ...others] = await stayingCrowd();
      expect(new Set(first).size).toBe(3);
      for (const round of others) expect(round).toEqual(first);
    },
    240_000,
  );

  tried('a client that stays away for longer than the time-out is drawn for anew', async () => {
    const scenario = scenarioOf({ affinity: 1, endpoints: ['podA', 'podB'] });
    await serve(scenario);
    const calls = toClusterIp(scenario);
    const before = await crowds(calls);
    await sleep(2_500);
    await turn(scenario);
    // Of eighty clients, all draw what they had once in 10^24 times.
    expect(same(await crowds(calls), before)).toBe(false);
  });

  tried('when an endpoint goes its clients go to others, and everybody else stays', async () => {
    const scenario = scenarioOf({ affinity: 600, endpoints: ['podA', 'podB', 'podD'] });
    await serve(scenario);
    const calls = toClusterIp(scenario);
    const before = await crowds(calls);
    await serve(changed(scenario, { endpoints: ['podA', 'podD'] }));
    const after = await crowds(calls);
    expect(after.filter((word) => word.startsWith('podB'))).toEqual([]);
    expect(
      same(
        before.map((word, i) => (word.startsWith('podB') ? (after[i] ?? '') : word)),
        after,
      ),
    ).toBe(true);
    expect(await crowds(calls)).toEqual(after);
  });

  tried('when an endpoint comes everybody stays, and new clients go to it as well', async () => {
    const scenario = scenarioOf({ affinity: 600, endpoints: ['podA'] });
    await serve(scenario);
    const calls = toClusterIp(scenario);
    const before = await crowds(calls);
    await serve(changed(scenario, { endpoints: ['podA', 'podB'] }));
    expect(await crowds(calls)).toEqual(before);
    const newcomers = families.map(
      (family): CallIn => ({ scenario, family, call: { from: 'podD', to: 'cluster-ip' } }),
    );
    for (const callIn of newcomers) {
      const [outcome] = await one(callIn);
      expect(outcome?.word).toMatch(/^pod[AB]/);
    }
  });

  tried('without session affinity any more clients go to all endpoints again', async () => {
    const scenario = scenarioOf({ affinity: 600, endpoints: ['podA', 'podB'] });
    await serve(scenario);
    const calls = toClusterIp(scenario);
    const before = await crowds(calls);
    const { affinity: _, ...open } = scenario.services[0] ?? { endpoints: [] };
    await serve({ ...scenario, services: [open] });
    await turn(scenario);
    expect(same(await crowds(calls), before)).toBe(false);
  });

  tried('an endpoint that is replaced is not missed for a moment', async () => {
    const scenario = scenarioOf({ endpoints: ['podA'] });
    await serve(scenario);
    let done = false;
    const flip = async () => {
      for (let count = 0; !done || count < 20; count++) {
        await serve(changed(scenario, { endpoints: [count % 2 === 0 ? 'podB' : 'podA'] }));
        await sleep(3);
      }
    };
    const flips = flip();
    const words = new Set<string>();
    for (let round = 0; round < 20 || words.size < 2; round++) {
      for (const callIn of toClusterIp(scenario)) {
        for (const { word } of await stage.outcomes(callIn, { times: 20, timeout: 20_000 }))
          words.add(word.slice(0, 4));
      }
    }
    done = true;
    await flips;
    expect([...words].sort()).toEqual(['podA', 'podB']);
  });

  tried(
    'a Service that goes leaves its addresses alone, has them again when it comes back, and nothing after a clean-up',
    async () => {
      const scenario = scenarioOf({ external: true, nodePort: 30_080, endpoints: ['podA'] });
      const calls = families.map(
        (family): CallIn => ({ scenario, family, call: { from: 'client', to: 'external-ip' } }),
      );
      const words = async () => (await Promise.all(calls.map(one))).flat().map(({ word }) => word);
      await serve(scenario);
      expect(await words()).toEqual(['podA*', 'podA*']);
      await serve({ ...scenario, services: [] });
      expect(await words()).toEqual(['untouched', 'untouched']);
      await serve(scenario);
      expect(await words()).toEqual(['podA*', 'podA*']);
      // The last test, as a backend that has cleaned up is done.
      await stage.clean();
      expect(await words()).toEqual(['untouched', 'untouched']);
    },
  );
});
