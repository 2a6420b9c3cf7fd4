import { call, type Scenario } from '../scenario.ts';

/** `loadBalancerSourceRanges`. */
export const sourceRangeScenarios: readonly Scenario[] = [
  {
    name: 'source ranges let their clients in, and leave all others without answer',
    services: [{ balancer: 'VIP', sources: ['client'], endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'balancer', 'podA* podD*'),
      call('podC', 'balancer', 'silence'),
      call('podE', 'balancer', 'silence'),
      call('node', 'balancer', 'silence'),
    ],
  },
  {
    name: 'several source ranges let the clients of each in',
    services: [{ balancer: 'VIP', sources: ['nobody', 'pods', 'client'], endpoints: ['podA'] }],
    calls: [
      call('client', 'balancer', 'podA*'),
      call('podC', 'balancer', 'podA*'),
      call('node', 'balancer', 'silence'),
    ],
  },
  {
    name: 'source ranges confine the balancer alone',
    services: [{ balancer: 'VIP', sources: ['nobody'], nodePort: 30_080, external: true, endpoints: ['podA'] }],
    calls: [
      call('client', 'balancer', 'silence'),
      call('client', 'node-port', 'podA*'),
      call('client', 'external-ip', 'podA*'),
      call('podC', 'cluster-ip', 'podA'),
    ],
  },
  {
    name: 'source ranges of UDP',
    services: [{ protocol: 'UDP', balancer: 'VIP', sources: ['pods'], endpoints: ['podA'] }],
    calls: [call('client', 'balancer', 'silence'), call('podC', 'balancer', 'podA*')],
  },
  {
    name: 'source ranges come first where there is no endpoint',
    services: [{ balancer: 'VIP', sources: ['client'], endpoints: [] }],
    calls: [call('client', 'balancer', 'refused'), call('podC', 'balancer', 'silence')],
  },
  {
    name: 'source ranges under externalTrafficPolicy Local',
    services: [{ balancer: 'VIP', outside: 'Local', sources: ['client', 'pods'], endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'balancer', 'podA'),
      call('podC', 'balancer', 'podA podD'),
      call('node', 'balancer', 'silence'),
    ],
  },
  {
    name: 'source ranges without the Pods shut them out under externalTrafficPolicy Local as well',
    services: [{ balancer: 'VIP', outside: 'Local', sources: ['client'], endpoints: ['podA', 'podD'] }],
    calls: [call('client', 'balancer', 'podA'), call('podC', 'balancer', 'silence')],
  },
  {
    name: 'source ranges with the node let its processes in, also where the balancer address is its own',
    node: { hasBalancerAddress: true },
    services: [{ balancer: 'VIP', sources: ['node'], endpoints: ['podA', 'podD'] }],
    calls: [
      call('node', 'balancer', 'podA* podD*'),
      call('client', 'balancer', 'silence'),
      call('podC', 'balancer', 'silence'),
    ],
  },
  {
    name: 'source ranges without the node shut its processes out where the balancer address is its own',
    node: { hasBalancerAddress: true },
    services: [{ balancer: 'VIP', sources: ['client'], endpoints: ['podA'] }],
    calls: [call('node', 'balancer', 'silence'), call('client', 'balancer', 'podA*')],
  },
];
