import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { proxyModes } from '../../src/proxy/config.ts';
import { reasonToSkip } from './limits.ts';
import { scenarioTables } from './scenarios/all.ts';
import { Stage } from './stage.ts';

/** The one that is asked for, or all but ipvs: that is asked for by the test level `ipvs`, in a kernel that has it. */
const asked = process.env.PROXY_MODE;
const modes = proxyModes.filter((mode) => (asked === undefined ? mode !== 'ipvs' : mode === asked));

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
      else test(scenario.name, async () => expect(await stage.play(scenario)).toEqual([]));
    }
  });
});
