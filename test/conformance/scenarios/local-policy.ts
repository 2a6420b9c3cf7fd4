import { call, manyCalls, type Scenario } from '../scenario.ts';

/** `externalTrafficPolicy: Local` and `internalTrafficPolicy: Local`, and both. */
export const localPolicyScenarios: readonly Scenario[] = [
  {
    name: 'externalTrafficPolicy Local keeps clients outside on the node, and their address',
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podB', 'podD'] }],
    calls: [
      call('client', 'node-port', 'podA podB'),
      manyCalls('podC', 'node-port', 'podA podB podD'),
      call('node', 'node-port', 'podA* podB* podD*'),
    ],
  },
  {
    name: 'externalTrafficPolicy Local at an external IP',
    services: [{ outside: 'Local', external: true, endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'external-ip', 'podA'),
      call('podC', 'external-ip', 'podA podD'),
      call('node', 'external-ip', 'podA* podD*'),
    ],
  },
  {
    name: 'externalTrafficPolicy Local at a load-balancer address',
    services: [{ outside: 'Local', balancer: 'VIP', endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'balancer', 'podA'),
      call('podC', 'balancer', 'podA podD'),
      call('node', 'balancer', 'podA* podD*'),
    ],
  },
  {
    name: 'externalTrafficPolicy Local of UDP',
    services: [{ outside: 'Local', protocol: 'UDP', nodePort: 30_053, endpoints: ['podA', 'podD'] }],
    calls: [call('client', 'node-port', 'podA'), call('podC', 'node-port', 'podA podD')],
  },
  {
    name: 'externalTrafficPolicy Local says nothing to clients outside where only other nodes have endpoints',
    services: [{ outside: 'Local', nodePort: 30_080, balancer: 'VIP', endpoints: ['podD', 'podE'] }],
    calls: [
      call('client', 'node-port', 'silence'),
      call('client', 'balancer', 'silence'),
      call('podC', 'node-port', 'podD podE'),
      call('podC', 'balancer', 'podD podE'),
      call('node', 'node-port', 'podD* podE*'),
      call('client', 'cluster-ip', 'podD* podE*'),
    ],
  },
  {
    name: 'externalTrafficPolicy Local refuses everybody where nobody has an endpoint',
    services: [{ outside: 'Local', nodePort: 30_080, balancer: 'VIP', endpoints: [] }],
    calls: [
      call('client', 'node-port', 'refused'),
      call('client', 'balancer', 'refused'),
      call('podC', 'node-port', 'refused'),
      call('node', 'balancer', 'refused'),
    ],
  },
  {
    name: 'externalTrafficPolicy Local leaves the cluster IP alone',
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA podD'), call('client', 'cluster-ip', 'podA* podD*')],
  },
  {
    name: 'externalTrafficPolicy Local: a Pod that reaches itself sees the node',
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podB'] }],
    calls: [call('podA', 'node-port', 'podA* podB')],
  },
  {
    name: 'externalTrafficPolicy Local and Pods told by their bridge',
    node: { pods: 'bridge' },
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'node-port', 'podA'),
      call('podC', 'node-port', 'podA podD'),
      call('podE', 'node-port', 'podA'),
      call('node', 'node-port', 'podA* podD*'),
    ],
  },
  {
    name: 'externalTrafficPolicy Local where Pods cannot be told from others: they are clients outside',
    node: { pods: 'unknown' },
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podD'] }],
    calls: [
      call('podC', 'node-port', 'podA'),
      call('client', 'node-port', 'podA'),
      call('node', 'node-port', 'podA* podD*'),
    ],
  },
  {
    name: 'externalTrafficPolicy Local on every address of the node',
    node: { nodePorts: 'all' },
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'other-node-port', 'podA'),
      call('podC', 'other-node-port', 'podA podD'),
      call('node', 'other-node-port', 'podA* podD*'),
    ],
  },
  {
    name: 'externalTrafficPolicy Local with masqueradeAll still keeps the address of clients outside',
    node: { masqueradeAll: true },
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'node-port', 'podA'),
      call('podC', 'node-port', 'podA podD'),
      call('podC', 'cluster-ip', 'podA* podD*'),
    ],
  },
  {
    name: 'internalTrafficPolicy Local keeps everybody on the node',
    services: [{ internal: 'Local', endpoints: ['podA', 'podB', 'podD'] }],
    calls: [
      call('podC', 'cluster-ip', 'podA podB'),
      call('node', 'cluster-ip', 'podA* podB*'),
      call('client', 'cluster-ip', 'podA* podB*'),
    ],
  },
  {
    name: 'internalTrafficPolicy Local says nothing where only other nodes have endpoints',
    services: [{ internal: 'Local', endpoints: ['podD'] }],
    calls: [call('podC', 'cluster-ip', 'silence'), call('node', 'cluster-ip', 'silence')],
  },
  {
    name: 'internalTrafficPolicy Local of UDP says nothing where only other nodes have endpoints',
    services: [{ internal: 'Local', protocol: 'UDP', endpoints: ['podD'] }],
    calls: [call('podC', 'cluster-ip', 'silence')],
  },
  {
    name: 'internalTrafficPolicy Local refuses where nobody has an endpoint',
    services: [{ internal: 'Local', endpoints: [] }],
    calls: [call('podC', 'cluster-ip', 'refused'), call('node', 'cluster-ip', 'refused')],
  },
  {
    name: 'internalTrafficPolicy Local leaves addresses for outside alone',
    services: [{ internal: 'Local', nodePort: 30_080, balancer: 'VIP', endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'node-port', 'podA* podD*'),
      call('podC', 'balancer', 'podA* podD*'),
      call('podC', 'cluster-ip', 'podA'),
    ],
  },
  {
    name: 'internalTrafficPolicy Local with masqueradeAll hides every client',
    node: { masqueradeAll: true },
    services: [{ internal: 'Local', endpoints: ['podA', 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA*')],
  },
  {
    name: 'both policies Local: each address keeps its own clients on the node',
    services: [{ internal: 'Local', outside: 'Local', nodePort: 30_080, external: true, endpoints: ['podA', 'podD'] }],
    calls: [
      call('podC', 'cluster-ip', 'podA'),
      call('client', 'node-port', 'podA'),
      call('client', 'external-ip', 'podA'),
      call('podC', 'external-ip', 'podA podD'),
      call('node', 'node-port', 'podA* podD*'),
    ],
  },
  {
    name: 'both policies Local where only other nodes have endpoints',
    services: [{ internal: 'Local', outside: 'Local', nodePort: 30_080, endpoints: ['podD'] }],
    calls: [
      call('podC', 'cluster-ip', 'silence'),
      call('client', 'node-port', 'silence'),
      call('podC', 'node-port', 'podD'),
    ],
  },
];
