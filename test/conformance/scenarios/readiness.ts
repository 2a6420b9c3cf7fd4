import { call, type Scenario } from '../scenario.ts';

const terminating = { ready: false, serving: true, terminating: true };
const notReady = { ready: false, serving: false, terminating: false };
const ended = { ready: false, serving: false, terminating: true };

/** Which endpoints take new connections, by their conditions (KEP-1669, KEP-1672). */
export const readinessScenarios: readonly Scenario[] = [
  {
    name: 'endpoints that are not ready take no connections',
    services: [{ endpoints: ['podA', { on: 'podB', conditions: notReady }] }],
    calls: [call('podC', 'cluster-ip', 'podA'), call('client', 'cluster-ip', 'podA*')],
  },
  {
    name: 'a terminating endpoint takes none while another is ready',
    services: [{ endpoints: [{ on: 'podA', conditions: terminating }, 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podD'), call('node', 'cluster-ip', 'podD*')],
  },
  {
    name: 'when nobody is ready those that terminate and still serve take them',
    services: [
      {
        endpoints: [
          { on: 'podA', conditions: terminating },
          { on: 'podD', conditions: terminating },
          { on: 'podB', conditions: ended },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podA podD'), call('client', 'cluster-ip', 'podA* podD*')],
  },
  {
    name: 'when nobody serves any more clients are refused',
    services: [
      {
        endpoints: [
          { on: 'podA', conditions: ended },
          { on: 'podB', conditions: notReady },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'refused'), call('client', 'cluster-ip', 'refused')],
  },
  {
    name: 'conditions that are not said mean ready',
    services: [{ endpoints: [{ on: 'podA', conditions: {} }] }],
    calls: [call('podC', 'cluster-ip', 'podA')],
  },
  {
    name: 'a terminating endpoint that is published as ready takes connections',
    services: [{ endpoints: [{ on: 'podA', conditions: { ready: true, serving: true, terminating: true } }, 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA podD')],
  },
  {
    name: 'under externalTrafficPolicy Local the last one of the node serves while it terminates',
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: [{ on: 'podA', conditions: terminating }, 'podD'] }],
    calls: [call('client', 'node-port', 'podA'), call('podC', 'node-port', 'podD'), call('podC', 'cluster-ip', 'podD')],
  },
  {
    name: 'under internalTrafficPolicy Local the last one of the node serves while it terminates',
    services: [{ internal: 'Local', endpoints: [{ on: 'podA', conditions: terminating }, 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA')],
  },
  {
    name: 'under internalTrafficPolicy Local a ready one of the node goes before a terminating one',
    services: [{ internal: 'Local', endpoints: [{ on: 'podA', conditions: terminating }, 'podB', 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podB')],
  },
];
