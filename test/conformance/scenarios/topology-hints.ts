import { call, type Scenario } from '../scenario.ts';

const terminating = { ready: false, serving: true, terminating: true };

/** Endpoints meant for clients nearby (`trafficDistribution`: KEP-4444, KEP-3015; hints of slices: KEP-2433). */
export const topologyScenarios: readonly Scenario[] = [
  {
    name: 'endpoints meant for the zone of the node are taken alone',
    node: { zone: 'a' },
    services: [
      {
        endpoints: [
          { on: 'podA', forZones: ['a'] },
          { on: 'podD', forZones: ['a', 'b'] },
          { on: 'podE', forZones: ['b'] },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podA podD'), call('client', 'cluster-ip', 'podA* podD*')],
  },
  {
    name: 'an endpoint without zone hint makes all be taken',
    node: { zone: 'a' },
    services: [{ endpoints: [{ on: 'podA', forZones: ['a'] }, 'podE'] }],
    calls: [call('podC', 'cluster-ip', 'podA podE')],
  },
  {
    name: 'when none is meant for the zone all are taken',
    node: { zone: 'c' },
    services: [
      {
        endpoints: [
          { on: 'podA', forZones: ['a'] },
          { on: 'podE', forZones: ['b'] },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podA podE')],
  },
  {
    name: 'on a node whose zone is not known all are taken',
    services: [
      {
        endpoints: [
          { on: 'podA', forZones: ['a'] },
          { on: 'podE', forZones: ['b'] },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podA podE')],
  },
  {
    name: 'an endpoint meant for the node is taken alone, before those meant for its zone',
    node: { zone: 'a' },
    services: [
      {
        endpoints: [
          { on: 'podA', forNodes: ['node-1'], forZones: ['a'] },
          { on: 'podD', forNodes: ['node-2'], forZones: ['a'] },
          { on: 'podE', forNodes: ['node-3'], forZones: ['b'] },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podA'), call('node', 'cluster-ip', 'podA*')],
  },
  {
    name: 'when none is meant for the node those meant for its zone are taken',
    node: { zone: 'a' },
    services: [
      {
        endpoints: [
          { on: 'podD', forNodes: ['node-2'], forZones: ['a'] },
          { on: 'podE', forNodes: ['node-3'], forZones: ['b'] },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podD')],
  },
  {
    name: 'hints of endpoints that are not ready do not count',
    node: { zone: 'a' },
    services: [
      {
        endpoints: [
          { on: 'podA', conditions: terminating },
          { on: 'podE', forZones: ['b'] },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podE')],
  },
  {
    name: 'when nobody is ready hints do not count',
    node: { zone: 'a' },
    services: [
      {
        endpoints: [
          { on: 'podA', conditions: terminating, forZones: ['a'] },
          { on: 'podE', conditions: terminating, forZones: ['b'] },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podA podE')],
  },
  {
    name: 'under internalTrafficPolicy Local hints do not count',
    node: { zone: 'a' },
    services: [
      {
        internal: 'Local',
        endpoints: [
          { on: 'podA', forZones: ['b'] },
          { on: 'podB', forZones: ['a'] },
        ],
      },
    ],
    calls: [call('podC', 'cluster-ip', 'podA podB')],
  },
  {
    name: 'addresses for outside follow hints as well, but not under externalTrafficPolicy Local',
    node: { zone: 'a' },
    services: [
      {
        nodePort: 30_080,
        endpoints: [
          { on: 'podA', forZones: ['b'] },
          { on: 'podD', forZones: ['a'] },
        ],
      },
      {
        nodePort: 30_081,
        outside: 'Local',
        endpoints: [
          { on: 'podA', forZones: ['b'] },
          { on: 'podD', forZones: ['a'] },
        ],
      },
    ],
    calls: [
      call('client', 'node-port', 'podD*'),
      { ...call('client', 'node-port', 'podA'), service: 1 },
      { ...call('podC', 'node-port', 'podD'), service: 1 },
    ],
  },
];
