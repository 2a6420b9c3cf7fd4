import { secondPodPort } from '../places.ts';
import { call, manyCalls, type Scenario } from '../scenario.ts';

/** Cluster IPs: who answers, and as whom the client appears. */
export const clusterIpScenarios: readonly Scenario[] = [
  {
    name: 'a cluster IP leads everybody to all ready endpoints, on this node and on others',
    services: [{ endpoints: ['podA', 'podB', 'podD'] }],
    calls: [
      manyCalls('podC', 'cluster-ip', 'podA podB podD'),
      call('podE', 'cluster-ip', 'podA podB podD'),
      call('node', 'cluster-ip', 'podA* podB* podD*'),
      call('client', 'cluster-ip', 'podA* podB* podD*'),
    ],
  },
  {
    name: 'a cluster IP with one endpoint always leads to it',
    services: [{ endpoints: ['podD'] }],
    calls: [call('podC', 'cluster-ip', 'podD'), call('node', 'cluster-ip', 'podD*')],
  },
  {
    name: 'five endpoints have a fifth of the connections each',
    services: [{ endpoints: ['podA', 'podB', 'podC', 'podD', 'podE'] }],
    calls: [manyCalls('client', 'cluster-ip', 'podA* podB* podC* podD* podE*')],
  },
  {
    name: 'UDP is served alike',
    services: [{ protocol: 'UDP', endpoints: ['podA', 'podD'] }],
    calls: [
      call('podC', 'cluster-ip', 'podA podD'),
      call('node', 'cluster-ip', 'podA* podD*'),
      call('client', 'cluster-ip', 'podA* podD*'),
    ],
  },
  {
    name: 'one port number is two Services ports by two protocols',
    services: [{ endpoints: ['podA'] }, { protocol: 'UDP', endpoints: ['podB'] }],
    calls: [call('podC', 'cluster-ip', 'podA'), { ...call('podC', 'cluster-ip', 'podB'), service: 1 }],
  },
  {
    name: 'two Services with the same Pod keep to their own ports of it',
    services: [{ endpoints: ['podA'] }, { port: 81, endpoints: [{ on: 'podA', port: secondPodPort }] }],
    calls: [call('podC', 'cluster-ip', 'podA'), { ...call('podC', 'cluster-ip', 'podA:8081'), service: 1 }],
  },
  {
    name: 'one Pod with two ports is two endpoints',
    services: [{ endpoints: ['podA', { on: 'podA', port: secondPodPort }, 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA podA:8081 podD')],
  },
  {
    name: 'a Pod that reaches itself sees the node, and others see the Pod',
    services: [{ endpoints: ['podA', 'podB'] }],
    calls: [manyCalls('podA', 'cluster-ip', 'podA* podB'), call('podB', 'cluster-ip', 'podA podB*')],
  },
  {
    name: 'a Pod that reaches itself by UDP sees the node',
    services: [{ protocol: 'UDP', endpoints: ['podA'] }],
    calls: [call('podA', 'cluster-ip', 'podA*')],
  },
  {
    name: 'an endpoint in the network of the node answers everybody',
    services: [{ endpoints: [{ on: 'node' }] }],
    calls: [
      call('podC', 'cluster-ip', 'node'),
      call('node', 'cluster-ip', 'node*'),
      call('client', 'cluster-ip', 'node'),
    ],
  },
  {
    name: 'an endpoint in the network of the node and a Pod share the connections',
    services: [{ endpoints: [{ on: 'node' }, 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'node podD'), call('client', 'cluster-ip', 'node podD*')],
  },
  {
    name: 'without endpoint everybody is refused at once',
    services: [{ endpoints: [] }],
    calls: [
      call('podC', 'cluster-ip', 'refused'),
      call('podE', 'cluster-ip', 'refused'),
      call('node', 'cluster-ip', 'refused'),
      call('client', 'cluster-ip', 'refused'),
    ],
  },
  {
    name: 'without endpoint UDP hears that the port is unreachable',
    services: [{ protocol: 'UDP', endpoints: [] }],
    calls: [call('podC', 'cluster-ip', 'refused'), call('node', 'cluster-ip', 'refused')],
  },
  {
    name: 'a Service of another proxy is left alone',
    services: [
      { labels: { 'service.kubernetes.io/service-proxy-name': 'other' }, external: true, endpoints: ['podA'] },
    ],
    calls: [call('podC', 'external-ip', 'untouched'), call('client', 'external-ip', 'untouched')],
  },
  {
    name: 'masqueradeAll hides every client of a cluster IP',
    node: { masqueradeAll: true },
    services: [{ endpoints: ['podA', 'podD'] }],
    calls: [call('podC', 'cluster-ip', 'podA* podD*'), call('podE', 'cluster-ip', 'podA* podD*')],
  },
  {
    name: 'where Pods cannot be told from others every client of a cluster IP keeps its address',
    node: { pods: 'unknown' },
    services: [{ endpoints: ['podA'] }],
    calls: [call('podC', 'cluster-ip', 'podA'), call('client', 'cluster-ip', 'podA')],
  },
  {
    name: 'told by the block of the node, Pods of other nodes are masqueraded',
    node: { pods: 'node' },
    services: [{ endpoints: ['podA'] }],
    calls: [
      call('podC', 'cluster-ip', 'podA'),
      call('podE', 'cluster-ip', 'podA*'),
      call('client', 'cluster-ip', 'podA*'),
    ],
  },
  {
    name: 'told by their bridge, Pods of the node keep their address',
    node: { pods: 'bridge' },
    services: [{ endpoints: ['podA', 'podD'] }],
    calls: [
      call('podC', 'cluster-ip', 'podA podD'),
      call('podE', 'cluster-ip', 'podA* podD*'),
      call('node', 'cluster-ip', 'podA* podD*'),
    ],
  },
  {
    name: 'told by the beginning of device names, Pods of the node keep their address',
    node: { pods: 'prefix' },
    services: [{ endpoints: ['podA', 'podD'] }],
    calls: [
      call('podC', 'cluster-ip', 'podA podD'),
      call('podE', 'cluster-ip', 'podA* podD*'),
      call('client', 'cluster-ip', 'podA* podD*'),
    ],
  },
  {
    name: 'a Service of one family is served in that one alone, at whatever addresses',
    services: [{ families: ['IPv6'], external: true, nodePort: 30_080, endpoints: ['podA', 'podD'] }],
    calls: [
      { ...call('podC', 'cluster-ip', 'podA podD'), families: ['IPv6'] },
      { ...call('client', 'external-ip', 'podA* podD*'), families: ['IPv6'] },
      { ...call('client', 'external-ip', 'untouched'), families: ['IPv4'] },
    ],
  },
  {
    name: 'a Service whose first family is IPv6 is served in both',
    services: [{ families: ['IPv6', 'IPv4'], endpoints: ['podA', 'podB'] }],
    calls: [call('podC', 'cluster-ip', 'podA podB'), call('client', 'cluster-ip', 'podA* podB*')],
  },
];
