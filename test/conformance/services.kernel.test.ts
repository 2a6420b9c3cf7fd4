import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { reasonToSkip } from './limits.ts';
import { describeModes } from './modes.ts';
import { scenarioTables } from './scenarios/all.ts';
import { Stage } from './stage.ts';

describeModes('scenarios', (mode) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(mode);
  }, 120_000);
  afterAll(() => stage.close());

  describe.each(Object.entries(scenarioTables))('%s:', (_, table) => {
    for (const scenario of table) {
      const reason = reasonToSkip(mode, scenario);
      if (reason !== undefined) test.skip(`${scenario.name} (${reason})`);
      else test(scenario.name, async () => expect(await stage.play(scenario)).toEqual([]));
    }
  });
});
