import { call, type Scenario } from '../scenario.ts';

/** `sessionAffinity: ClientIP`: who may answer. That clients stay with whom they have is tried in `affinity.ts` beside. */
export const affinityScenarios: readonly Scenario[] = [
  {
    name: 'session affinity: every endpoint has clients',
    firstService: 21,
    services: [{ affinity: 10_800, endpoints: ['podA', 'podB', 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA podB podD')],
  },
  {
    name: 'session affinity with one endpoint',
    firstService: 22,
    services: [{ affinity: 10, endpoints: ['podA'] }],
    calls: [
      call('podC', 'cluster-ip', 'podA'),
      call('podA', 'cluster-ip', 'podA*'),
      call('client', 'cluster-ip', 'podA*'),
    ],
  },
  {
    name: 'session affinity of UDP',
    firstService: 23,
    services: [{ affinity: 10_800, protocol: 'UDP', endpoints: ['podA', 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA podD')],
  },
  {
    name: 'session affinity at a node port and an external IP',
    firstService: 24,
    services: [{ affinity: 60, nodePort: 30_080, external: true, endpoints: ['podA', 'podD'] }],
    calls: [call('podC', 'node-port', 'podA* podD*'), call('podC', 'external-ip', 'podA* podD*')],
  },
  {
    name: 'session affinity under externalTrafficPolicy Local',
    firstService: 25,
    services: [{ affinity: 60, outside: 'Local', nodePort: 30_081, endpoints: ['podA', 'podB', 'podD'] }],
    calls: [call('podC', 'node-port', 'podA podB podD'), call('client', 'node-port', 'podA podB')],
  },
  {
    name: 'session affinity without endpoint',
    firstService: 26,
    services: [{ affinity: 60, endpoints: [] }],
    calls: [call('podC', 'cluster-ip', 'refused')],
  },
];
