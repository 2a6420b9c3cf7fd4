import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Attempt } from '../../src/model/predict.ts';
import type { ServiceModel } from '../../src/model/service-model.ts';
import type { IpFamily } from '../../src/net/ip.ts';
import type { WalkResult } from '../../src/rules/packet.ts';
import { answererName, attemptOf, modelOf, ownAddresses, predictedText } from './objects.ts';
import { everyCall, randomScenario } from './random.ts';
import type { Scenario } from './scenario.ts';
import { scenarios, scenarioTables } from './scenarios/all.ts';
import { type CompileWalker, walkers } from './walkers.ts';
import { everyWay } from './ways.ts';

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/** The parts of all cases in which a packet ends somewhere, in the words of `Call.expect`. */
function walked(open: ReturnType<CompileWalker>, attempt: Attempt, scenario: Scenario): Map<string, number> {
  const family = attempt.source.includes(':') ? 'IPv6' : 'IPv4';
  const own = ownAddresses(scenario, family);
  const known = { isLocal: (ip: Attempt['source']) => own.has(ip), now: () => 0 };
  const shares = new Map<string, number>();
  for (const { result, share } of everyWay(open, (walker) => walker.walk(attempt), known)) {
    const text = endText(result);
    shares.set(text, (shares.get(text) ?? 0) + share);
  }
  return shares;
}

function endText({ verdict, translated, destination, port, masqueraded }: WalkResult): string {
  if (verdict === 'drop') return 'silence';
  if (verdict !== 'accept') return 'refused';
  return translated ? `${answererName(destination, port)}${masqueraded ? '*' : ''}` : 'untouched';
}

function titled(table: readonly Scenario[]): (readonly [string, Scenario])[] {
  return table.map((scenario) => [scenario.name, scenario]);
}

/** Shares that are a little off: no mode draws from a great many endpoints with all the digits a number has. */
const tolerance = 2e-4;

function expectWalk(open: ReturnType<CompileWalker>, { scenario, model, attempt }: Case): void {
  const shares = walked(open, attempt, scenario);
  const predicted = predictedText(model, attempt);
  expect([...shares.keys()].sort().join(' ')).toBe(predicted);
  for (const share of shares.values()) expect(Math.abs(share - 1 / shares.size)).toBeLessThan(tolerance);
}

interface Case {
  readonly scenario: Scenario;
  readonly model: ServiceModel;
  readonly attempt: Attempt;
}

describe.each(Object.entries(scenarioTables))('predict, %s:', (_, table) => {
  test.each(titled(table))('%s', (_, scenario) => {
    for (const family of scenario.families ?? families) {
      const model = modelOf(scenario, family);
      for (const call of scenario.calls) {
        const { from, to, expect: expected } = call;
        const predicted = predictedText(model, attemptOf(scenario, family, call));
        expect(`${from} → ${to}: ${predicted}`).toBe(`${from} → ${to}: ${expected}`);
      }
    }
  });
});

test('scenarios have names of their own', () => {
  const names = scenarios.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

describe.each(Object.entries(walkers))('rules of the %s mode:', (_, compile) => {
  test.each(titled(scenarios))('%s', (_, scenario) => {
    for (const family of scenario.families ?? families) {
      const model = modelOf(scenario, family);
      const open = compile(model, family);
      for (const call of scenario.calls)
        expectWalk(open, { scenario, model, attempt: attemptOf(scenario, family, call) });
    }
  });

  test('10,000 random nodes with random Services do what the model predicts', { timeout: 300_000 }, () => {
    fc.assert(
      fc.property(randomScenario, fc.constantFrom(...families), fc.nat(), (scenario, family, pick) => {
        const calls = everyCall(scenario);
        const model = modelOf(scenario, family);
        const open = compile(model, family);
        // Of the calls, which are many, as many as cases are cheap: another one each time, and two that follow.
        for (const offset of [0, 1, 2]) {
          const call = calls[(pick + offset) % calls.length];
          if (call === undefined) continue;
          const attempt = attemptOf(scenario, family, call);
          expectWalk(open, { scenario, model, attempt });
        }
      }),
      { numRuns: 10_000 },
    );
  });
});
