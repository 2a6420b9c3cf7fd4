import { execFileSync } from 'node:child_process';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scenarioTables } from './scenarios/all.ts';
import { Stage } from './stage.ts';

/** Every so many scenarios: the rules are the same in both variants of the tool, and all are played in the machine's own. */
const every = 4;

describe('the iptables mode with the legacy variant:', () => {
  let stage: Stage;
  const iptables = (...args: string[]) => execFileSync('iptables-legacy', ['-w', '-t', 'mangle', ...args]);
  beforeAll(async () => {
    // By this chain kubelet shows which variant is in use.
    stage = await Stage.open('iptables', () => iptables('-N', 'KUBE-IPTABLES-HINT'));
  }, 120_000);
  afterAll(async () => {
    await stage.close();
  });

  test('is the one that the rules are in', () => {
    expect(execFileSync('iptables-legacy-save', ['-t', 'nat'], { encoding: 'utf8' })).toContain('KUBE-SERVICES');
  });

  describe.each(Object.entries(scenarioTables))('%s:', (_, table) => {
    for (const scenario of table.filter((_, i) => i % every === 0)) {
      test(scenario.name, async () => expect(await stage.play(scenario)).toEqual([]));
    }
  });
});
