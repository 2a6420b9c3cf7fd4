import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { proxyModes } from '../../src/proxy/config.ts';
import { reasonToSkip } from './limits.ts';
import type { Scenario } from './scenario.ts';
import { scenarioTables } from './scenarios/all.ts';
import { Stage } from './stage.ts';

/** All that this kernel can do, or the one that is asked for. */
const modes = proxyModes.filter((mode) => (process.env.PROXY_MODE ?? mode) === mode);
const families = ['IPv4', 'IPv6'] as const;

describe.each(modes)('the %s mode:', (mode) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(mode);
  }, 60_000);
  afterAll(() => stage.close());

  describe.each(Object.entries(scenarioTables))('%s:', (_, table) => {
    for (const scenario of table) {
      const reason = reasonToSkip(mode, scenario);
      if (reason !== undefined) test.skip(`${scenario.name} (${reason})`);
      else test(scenario.name, () => play(scenario));
    }
  });

  async function play(scenario: Scenario): Promise<void> {
    const problems: string[] = [];
    for (const family of scenario.families ?? families) problems.push(...(await stage.play({ scenario, family })));
    expect(problems).toEqual([]);
  }
});
