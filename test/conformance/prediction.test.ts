import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Attempt, predict } from '../../src/model/predict.ts';
import type { ServiceModel } from '../../src/model/service-model.ts';
import type { IpFamily } from '../../src/net/ip.ts';
import type { ProxyMode } from '../../src/proxy/proxy-mode.ts';
import type { Walker, WalkResult } from '../../src/rules/packet.ts';
import { expectedOf, reasonToSkip } from './limits.ts';
import { answererName, attemptOf, modelOf, outcomeText, ownAddresses } from './objects.ts';
import { families } from './places.ts';
import { everyCall, randomScenario } from './random.ts';
import type { Scenario } from './scenario.ts';
import { scenarios, scenarioTables } from './scenarios/all.ts';
import { type CompileWalker, walkers } from './walkers.ts';
import { everyWay } from './ways.ts';

/** A call to a node as its model and its rules see it. */
interface Case {
  readonly mode: ProxyMode;
  readonly open: ReturnType<CompileWalker>;
  readonly scenario: Scenario;
  readonly family: IpFamily;
  readonly model: ServiceModel;
  readonly attempt: Attempt;
}

/**
 * Where a client ends that comes at these moments, in seconds: in which part of all cases it has this sequence of words
 * of `Call.expect`.
 */
function walked({ open, scenario, family, attempt }: Case, moments: readonly number[]): Map<string, number> {
  const own = ownAddresses(scenario, family);
  let now = 0;
  const known = { isLocal: (ip: Attempt['source']) => own.has(ip), now: () => now };
  const sequence = (walker: Walker) =>
    moments.map((moment) => {
      now = moment;
      return endText(walker.walk(attempt));
    });
  const shares = new Map<string, number>();
  for (const { result, share } of everyWay(open, sequence, known)) {
    const text = result.join(' ');
    shares.set(text, (shares.get(text) ?? 0) + share);
  }
  return shares;
}

function endText({ verdict, translated, destination, port, masqueraded }: WalkResult): string {
  if (verdict === 'drop') return 'silence';
  if (verdict !== 'accept') return 'refused';
  return translated ? `${answererName(destination, port)}${masqueraded ? '*' : ''}` : 'untouched';
}

/** Shares that are a little off: not every mode's draw has all the digits that a number has. */
const tolerance = 2e-4;

function expectWalk(of: Case): void {
  const outcome = predict(of.model, of.attempt);
  const words = expectedOf(of.mode, of).split(' ');
  expectEqualShares(walked(of, [0]), words);
  if (outcome.kind !== 'served' || outcome.affinitySeconds === undefined) return;
  const { affinitySeconds } = outcome;
  // Each time it comes, it is remembered anew. When it was away for long, it is drawn for as if it was never there.
  const staying = [0, 0.6 * affinitySeconds, 1.2 * affinitySeconds];
  expectEqualShares(
    walked(of, staying),
    words.map((word) => `${word} ${word} ${word}`),
  );
  expectEqualShares(
    walked(of, [0, affinitySeconds + 2]),
    words.flatMap((one) => words.map((two) => `${one} ${two}`)),
  );
}

function expectEqualShares(shares: ReadonlyMap<string, number>, expected: readonly string[]): void {
  expect([...shares.keys()].sort()).toEqual([...expected].sort());
  for (const share of shares.values()) expect(Math.abs(share - 1 / shares.size)).toBeLessThan(tolerance);
}

function titled(table: readonly Scenario[]): (readonly [string, Scenario])[] {
  return table.map((scenario) => [scenario.name, scenario]);
}

describe.each(Object.entries(scenarioTables))('predict, %s:', (_, table) => {
  test.each(titled(table))('%s', (_, scenario) => {
    const model = modelOf(scenario);
    for (const call of scenario.calls) {
      const { from, to, expect: expected } = call;
      for (const family of call.families ?? families) {
        const predicted = outcomeText(predict(model, attemptOf(scenario, family, call)));
        expect(`${from} → ${to}: ${predicted}`).toBe(`${from} → ${to}: ${expected}`);
      }
    }
  });
});

test('scenarios have names of their own', () => {
  const names = scenarios.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

describe.each(walkers)('rules of the $mode mode:', ({ mode, compile }) => {
  for (const scenario of scenarios) {
    const reason = reasonToSkip(mode, scenario);
    if (reason !== undefined) test.skip(`${scenario.name} (${reason})`);
    else test(scenario.name, () => expectScenario(scenario));
  }

  function expectScenario(scenario: Scenario): void {
    const model = modelOf(scenario);
    for (const family of families) {
      const open = compile(model, family);
      for (const call of scenario.calls.filter((c) => (c.families ?? families).includes(family)))
        expectWalk({ mode, open, scenario, family, model, attempt: attemptOf(scenario, family, call) });
    }
  }

  test('10,000 random nodes with random Services do what the model predicts', { timeout: 600_000 }, () => {
    fc.assert(
      fc.property(randomScenario, fc.constantFrom(...families), fc.nat(), (scenario, family, pick) => {
        fc.pre(reasonToSkip(mode, scenario) === undefined);
        const calls = everyCall(scenario);
        const model = modelOf(scenario);
        const open = compile(model, family);
        // Of the calls, which are many, as many as cases are cheap: another one each time, and the next.
        for (const offset of [0, 1]) {
          const call = calls[(pick + offset) % calls.length];
          if (call === undefined) continue;
          expectWalk({ mode, open, scenario, family, model, attempt: attemptOf(scenario, family, call) });
        }
      }),
      { numRuns: 10_000 },
    );
  });
});
