import { type Attempt, predict } from '../../src/model/predict.ts';
import type { NodeModel } from '../../src/model/types.ts';
import type { ProxyMode } from '../../src/proxy/proxy-mode.ts';
import { outcomeText } from './objects.ts';
import { allAsNode, type Scenario } from './scenario.ts';

/** Something that a mode cannot do. The table in docs/proxy-modes.md has the same lines. */
export interface Limit {
  readonly mode: ProxyMode;
  /** What is not as in the other modes, in the words of the table. */
  readonly what: string;
  readonly reason: string;
  /** Scenarios that cannot be played for this reason. */
  readonly skips?: (scenario: Scenario) => boolean;
  /** Tests in changes.kernel.test.ts, by name, that cannot. */
  readonly skipsChanges?: readonly string[];
  /** What is to be expected in the place of what the model predicts, in the words of `Call.expect`. */
  readonly instead?: (predicted: string, of: Predicted) => string;
}

/** What a prediction is about. */
export interface Predicted {
  readonly model: NodeModel;
  readonly attempt: Attempt;
}

/** Whether an address is on the dummy device of ipvs mode: a Service has it, and the node does not have it otherwise. */
function isBound({ model: { node, servicePorts }, attempt: { destination } }: Predicted): boolean {
  if ([...node.addresses, ...node.nodePortAddresses].includes(destination)) return false;
  return [...servicePorts.values()].some(({ frontends }) =>
    frontends.some(({ kind, ip }) => kind !== 'node-port' && ip === destination),
  );
}

/** All limits there are; the only reason for which a mode does other than the model predicts, or is not asked. */
export const limits: readonly Limit[] = [
  {
    mode: 'userspace',
    what: 'Endpoints see the address of the node, never that of the client',
    reason: 'the proxy makes the connection to the endpoint itself',
    instead: allAsNode,
  },
  {
    mode: 'userspace',
    what: 'No SCTP',
    reason: 'Node.js has no SCTP sockets',
    skips: ({ services }) => services.some(({ protocol }) => protocol === 'SCTP'),
  },
  {
    mode: 'iptables',
    what: 'A port of a cluster IP that no Service has is not refused',
    reason: 'there is no rule for it, as in kube-proxy: such a packet is routed like any',
  },
  {
    mode: 'iptables',
    what: 'Session affinity is for 100 clients of an endpoint at the same time',
    reason: 'the module `xt_recent` holds as many if it is not told otherwise (`ip_list_tot`), and forgets the oldest',
  },
  {
    mode: 'nftables',
    what: 'Session affinity is for 262,144 clients of a family on a node at the same time',
    reason: 'the map that remembers them has a bound; further clients are spread like others',
  },
  {
    mode: 'ipvs',
    what: 'A port of an external IP or balancer address that no Service has is refused',
    reason: 'such addresses are the node’s own in this mode, on the device `kube-ipvs0`',
    instead: (predicted, of) => (predicted === 'untouched' && isBound(of) ? 'refused' : predicted),
  },
  {
    mode: 'ipvs',
    what: 'Session affinity of Pods and nodes under `externalTrafficPolicy: Local` has no time-out',
    reason: 'IPVS cannot remember clients that it tells apart by a mark: they stay by a hash of their address',
    skips: ({ services }) => services.some(({ affinity, outside }) => affinity !== undefined && outside === 'Local'),
  },
  {
    mode: 'ipvs',
    what: 'Session affinity lasts two minutes beyond a client’s last TCP connection, if its time-out is shorter',
    reason: 'IPVS forgets a client only after its connections, which it keeps for two minutes when they have ended',
    skipsChanges: ['a client that stays away for longer than the time-out is drawn for anew'],
  },
  ...(['nftables', 'ipvs', 'userspace'] as const).map((mode) => ({
    mode,
    what: 'No node ports on 127.0.0.1',
    reason: 'the kernel would have to route loopback addresses (`route_localnet`), for neighbours of the node as well',
    skips: callsLoopback,
  })),
];

/** What becomes of an attempt in this mode: what the model predicts, but for limits. In the words of `Call.expect`. */
export function expectedOf(mode: ProxyMode, of: Predicted): string {
  const ofMode = limits.filter((limit) => limit.mode === mode);
  const predicted = outcomeText(predict(of.model, of.attempt));
  return ofMode.reduce((text, { instead }) => instead?.(text, of) ?? text, predicted);
}

/** Why a mode is not asked for a scenario; `undefined` where it is. */
export function reasonToSkip(mode: ProxyMode, scenario: Scenario): string | undefined {
  return limits.find((limit) => limit.mode === mode && limit.skips?.(scenario))?.reason;
}

/** The same for a test of changes. */
export function reasonToSkipChange(mode: ProxyMode, name: string): string | undefined {
  return limits.find((limit) => limit.mode === mode && limit.skipsChanges?.includes(name))?.reason;
}

function callsLoopback({ node }: Scenario): boolean {
  return node?.nodePorts === 'all and loopback';
}
