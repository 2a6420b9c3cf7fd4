import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { reasonToSkip } from './limits.ts';
import { describeModes } from './modes.ts';
import { everyCall, randomScenario } from './random.ts';
import type { Call, Scenario, ServiceSetting } from './scenario.ts';
import { Stage } from './stage.ts';

const scenarioCount = 40;
const callCount = 6;

type CallTo = Omit<Call, 'expect'>;

/** Calls of a random scenario: some of those that somebody hears of in the test bed. */
const playable: fc.Arbitrary<Scenario> = randomScenario.chain((scenario) => {
  const heard = everyCall(scenario).filter((call) => isHeard(call, scenario));
  return fc.shuffledSubarray(heard, { maxLength: Math.min(callCount, heard.length) }).map((calls) => ({
    ...scenario,
    calls: onceRemembered(calls, scenario).map((call) => inItsFamilies(call, scenario)),
  }));
});

/**
 * One call for each client and Service: who is remembered at one address of a Service may have to leave that endpoint at
 * another address, where policies keep it from him.
 */
function onceRemembered(calls: readonly CallTo[], { services }: Scenario): CallTo[] {
  const name = (call: CallTo) => `${call.from} ${services.findIndex((one) => claimants(call, services).includes(one))}`;
  return [...new Map(calls.map((call) => [name(call), call])).values()];
}

/** The Services, in their order, that may all want the address and port that a call goes to: one of them answers. */
function claimants({ to, service = 0 }: CallTo, services: readonly ServiceSetting[]): readonly ServiceSetting[] {
  if (to === 'cluster-ip') return services.slice(service, service + 1);
  const portOf = ({ port, nodePort }: ServiceSetting) => (to.endsWith('node-port') ? nodePort : port);
  const called = services[service];
  return services.filter(
    (one) => called !== undefined && one.protocol === called.protocol && portOf(one) === portOf(called),
  );
}

function inItsFamilies(call: CallTo, { services }: Scenario): Call {
  const { families } = services[call.service ?? 0] ?? {};
  return { ...call, expect: '', ...(families && { families }) };
}

/**
 * No agent speaks SCTP, and nobody listens at addresses of the node that are left alone. Where clients are remembered podC
 * calls from many addresses, of which one is its endpoint's: what it says to itself from another never comes back.
 */
function isHeard(call: CallTo, { services, node }: Scenario): boolean {
  const { from, to, service = 0 } = call;
  if (services[service]?.protocol === 'SCTP') return false;
  if (from === 'podC' && claimants(call, services).some(remembersClientsOfPodC)) return false;
  if (to === 'other-node-port') return node?.nodePorts === 'all';
  return to !== 'balancer' || node?.hasBalancerAddress !== true || services[service]?.balancer === 'VIP';
}

/** Whether podC may be the endpoint of a client that is remembered. */
function remembersClientsOfPodC({ affinity, endpoints = [] }: ServiceSetting): boolean {
  return affinity !== undefined && endpoints.some((one) => (typeof one === 'string' ? one : one.on) === 'podC');
}

describeModes('random scenarios', (mode) => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open(mode);
  }, 120_000);
  afterAll(() => stage.close());

  test(`${scenarioCount} random nodes with random Services do in the kernel what the model predicts`, {
    timeout: 300_000,
  }, async () => {
    const seed = Date.now() | 0;
    const scenarios = fc.sample(playable, { seed, numRuns: scenarioCount });
    for (const [index, scenario] of scenarios.entries()) {
      if (reasonToSkip(mode, scenario) !== undefined) continue;
      // Clients are remembered by Service, so each scenario has its own.
      const problems = await stage.play({ ...scenario, firstService: 3 * index });
      expect(problems, `seed ${seed}, ${JSON.stringify(scenario)}`).toEqual([]);
    }
  });
});
