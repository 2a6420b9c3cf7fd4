import { otherNodePort } from '../objects.ts';
import { call, manyCalls, type Scenario } from '../scenario.ts';

/** Node ports, external IPs and load-balancer addresses under `externalTrafficPolicy: Cluster`. */
export const outsideScenarios: readonly Scenario[] = [
  {
    name: 'a node port leads everybody to all endpoints, which see the node',
    services: [{ nodePort: 30_080, endpoints: ['podA', 'podB', 'podD'] }],
    calls: [
      manyCalls('client', 'node-port', 'podA* podB* podD*'),
      call('podC', 'node-port', 'podA* podB* podD*'),
      call('podE', 'node-port', 'podA* podB* podD*'),
      call('node', 'node-port', 'podA* podB* podD*'),
    ],
  },
  {
    name: 'a node port leads to Pods of other nodes alone when there are no others',
    services: [{ nodePort: 30_080, endpoints: ['podD', 'podE'] }],
    calls: [call('client', 'node-port', 'podD* podE*')],
  },
  {
    name: 'a node port of UDP is served alike',
    services: [{ protocol: 'UDP', nodePort: 30_053, endpoints: ['podA', 'podD'] }],
    calls: [call('client', 'node-port', 'podA* podD*'), call('node', 'node-port', 'podA* podD*')],
  },
  {
    name: 'a node port is served on every address of the node where the user wants so',
    node: { nodePorts: 'all' },
    services: [{ nodePort: 30_080, endpoints: ['podA'] }],
    calls: [
      call('client', 'node-port', 'podA*'),
      call('client', 'other-node-port', 'podA*'),
      call('podC', 'other-node-port', 'podA*'),
      call('node', 'other-node-port', 'podA*'),
    ],
  },
  {
    name: 'a node port is left alone on an address of the node where it is not to be served',
    services: [{ nodePort: otherNodePort, endpoints: ['podA'] }],
    calls: [
      call('client', 'node-port', 'podA*'),
      call('client', 'other-node-port', 'untouched'),
      call('podC', 'other-node-port', 'untouched'),
      call('node', 'other-node-port', 'untouched'),
    ],
  },
  {
    name: 'a node port without endpoint is refused',
    services: [{ nodePort: 30_080, endpoints: [] }],
    calls: [
      call('client', 'node-port', 'refused'),
      call('podC', 'node-port', 'refused'),
      call('node', 'node-port', 'refused'),
    ],
  },
  {
    name: 'a Pod that reaches itself by a node port sees the node',
    services: [{ nodePort: 30_080, endpoints: ['podA'] }],
    calls: [call('podA', 'node-port', 'podA*')],
  },
  {
    name: 'a node port leads to an endpoint in the network of the node, which sees clients as they are',
    services: [{ nodePort: 30_080, endpoints: [{ on: 'node' }] }],
    calls: [call('client', 'node-port', 'node'), call('podC', 'node-port', 'node'), call('node', 'node-port', 'node*')],
  },
  {
    name: 'an external IP leads everybody to all endpoints, which see the node',
    services: [{ external: true, endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'external-ip', 'podA* podD*'),
      call('podC', 'external-ip', 'podA* podD*'),
      call('podE', 'external-ip', 'podA* podD*'),
      call('node', 'external-ip', 'podA* podD*'),
    ],
  },
  {
    name: 'an external IP of UDP is served alike',
    services: [{ protocol: 'UDP', external: true, endpoints: ['podA'] }],
    calls: [call('client', 'external-ip', 'podA*'), call('podC', 'external-ip', 'podA*')],
  },
  {
    name: 'an external IP without endpoint is refused',
    services: [{ external: true, endpoints: [] }],
    calls: [call('client', 'external-ip', 'refused'), call('podC', 'external-ip', 'refused')],
  },
  {
    name: 'a port of an external IP that the Service does not have is left alone',
    services: [{ external: true, endpoints: ['podA'] }],
    calls: [
      { ...call('client', 'external-ip', 'untouched'), port: 81 },
      { ...call('podC', 'external-ip', 'untouched'), port: 81 },
    ],
  },
  {
    name: 'an external IP that two Services name goes to the older one',
    services: [
      { external: true, endpoints: ['podA'] },
      { external: true, endpoints: ['podB'] },
    ],
    calls: [call('client', 'external-ip', 'podA*'), { ...call('podC', 'cluster-ip', 'podB'), service: 1 }],
  },
  {
    name: 'a load-balancer address leads everybody to all endpoints, which see the node',
    services: [{ balancer: 'VIP', endpoints: ['podA', 'podD'] }],
    calls: [
      call('client', 'balancer', 'podA* podD*'),
      call('podC', 'balancer', 'podA* podD*'),
      call('podE', 'balancer', 'podA* podD*'),
      call('node', 'balancer', 'podA* podD*'),
    ],
  },
  {
    name: 'a load-balancer address without endpoint is refused',
    services: [{ balancer: 'VIP', endpoints: [] }],
    calls: [call('client', 'balancer', 'refused'), call('podC', 'balancer', 'refused')],
  },
  {
    name: 'the address of a balancer that is a proxy itself is left to it (KEP-1860)',
    services: [{ balancer: 'Proxy', nodePort: 30_080, endpoints: ['podA'] }],
    calls: [
      call('client', 'balancer', 'untouched'),
      call('podC', 'balancer', 'untouched'),
      call('client', 'node-port', 'podA*'),
    ],
  },
  {
    name: 'a node port is served on 127.0.0.1 where the user wants so',
    node: { nodePorts: 'all and loopback' },
    services: [{ nodePort: 30_080, endpoints: ['podA', 'podD'] }],
    calls: [
      { ...call('node', 'loopback-node-port', 'podA* podD*'), families: ['IPv4'] },
      call('client', 'node-port', 'podA* podD*'),
    ],
  },
  {
    name: 'a node port of externalTrafficPolicy Local is served on 127.0.0.1 where the user wants so',
    node: { nodePorts: 'all and loopback' },
    services: [{ outside: 'Local', nodePort: 30_080, endpoints: ['podA', 'podD'] }],
    calls: [{ ...call('node', 'loopback-node-port', 'podA* podD*'), families: ['IPv4'] }],
  },
];
