import { call, type Scenario } from '../scenario.ts';

/** `sessionAffinity: ClientIP`: who may answer. That clients stay with whom they have is tried in `affinity.ts` beside. */
export const affinityScenarios: readonly Scenario[] = [
  {
    name: 'session affinity: every endpoint has clients',
    services: [{ affinity: 10_800, endpoints: ['podA', 'podB', 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA podB podD')],
  },
  {
    name: 'session affinity with one endpoint',
    services: [{ affinity: 10, endpoints: ['podA'] }],
    calls: [
      call('podC', 'cluster-ip', 'podA'),
      call('podA', 'cluster-ip', 'podA*'),
      call('client', 'cluster-ip', 'podA*'),
    ],
  },
  {
    name: 'session affinity of UDP',
    services: [{ affinity: 10_800, protocol: 'UDP', endpoints: ['podA', 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA podD')],
  },
  {
    name: 'session affinity at a node port and an external IP',
    services: [{ affinity: 60, nodePort: 30_080, external: true, endpoints: ['podA', 'podD'] }],
    calls: [call('podC', 'node-port', 'podA* podD*'), call('podC', 'external-ip', 'podA* podD*')],
  },
  {
    name: 'session affinity under externalTrafficPolicy Local',
    services: [{ affinity: 60, outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podB', 'podD'] }],
    calls: [call('podC', 'node-port', 'podA podB podD'), call('client', 'node-port', 'podA podB')],
  },
  {
    name: 'session affinity without endpoint',
    services: [{ affinity: 60, endpoints: [] }],
    calls: [call('podC', 'cluster-ip', 'refused')],
  },
];
