import type { Scenario } from '../scenario.ts';
import { affinityScenarios } from './affinity.ts';
import { clusterIpScenarios } from './cluster-ip.ts';
import { localPolicyScenarios } from './local-policy.ts';
import { outsideScenarios } from './outside.ts';
import { readinessScenarios } from './readiness.ts';
import { sourceRangeScenarios } from './source-ranges.ts';
import { topologyScenarios } from './topology-hints.ts';

/** Every scenario, by what it is about. */
export const scenarioTables: { readonly [about: string]: readonly Scenario[] } = {
  'cluster IPs': clusterIpScenarios,
  readiness: readinessScenarios,
  'addresses for outside': outsideScenarios,
  'Local policies': localPolicyScenarios,
  'topology hints': topologyScenarios,
  'source ranges': sourceRangeScenarios,
  'session affinity': affinityScenarios,
};

export const scenarios: readonly Scenario[] = Object.values(scenarioTables).flat();
