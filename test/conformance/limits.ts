import type { ProxyMode } from '../../src/proxy/config.ts';
import { allAsNode, type Scenario, type ServiceSetting } from './scenario.ts';

/** Something that a mode cannot do. The table in docs/proxy-modes.md has the same lines. */
export interface Limit {
  readonly mode: ProxyMode;
  /** What a user might expect, and why it is not so. */
  readonly what: string;
  readonly reason: string;
  /** Scenarios that cannot be played for this reason. */
  readonly skips?: (scenario: Scenario) => boolean;
  /** What is to be expected in the place of what the model predicts, in the words of `Call.expect`. */
  readonly instead?: (predicted: string) => string;
}

function bindsAddress({ external, balancer }: ServiceSetting): boolean {
  return external === true || balancer === 'VIP';
}

/** At which port of its address a Service is served, if at any. */
function frontendWord({ protocol = 'TCP', port = 80, balancer }: ServiceSetting): string {
  return balancer === 'Proxy' ? 'none' : `${protocol} ${port}`;
}

/** All limits there are; the only reason for which a mode does other than the model predicts, or is not asked. */
export const limits: readonly Limit[] = [
  {
    mode: 'userspace',
    what: 'Endpoints see the client',
    reason: 'the proxy makes the connection to the endpoint itself, so the endpoint sees the node',
    instead: allAsNode,
  },
  {
    mode: 'ipvs',
    what: 'A port of an external IP or balancer address that no Service has is left alone',
    reason: 'the addresses are the node’s own in this mode, on the device kube-ipvs0, so such a port is refused',
    skips: ({ services, calls }) =>
      [services.filter(({ external }) => external), services.filter(({ balancer }) => balancer)].some(
        (ofAddress) => ofAddress.some(bindsAddress) && new Set(ofAddress.map(frontendWord)).size > 1,
      ) || calls.some(({ to, port }) => port !== undefined && to !== 'cluster-ip'),
  },
  {
    mode: 'ipvs',
    what: 'Session affinity under externalTrafficPolicy: Local ends with its time for Pods and the node',
    reason: 'IPVS cannot remember clients that it tells apart by a mark; they stay by a hash of their address',
    skips: ({ services }) => services.some(({ affinity, outside }) => affinity !== undefined && outside === 'Local'),
  },
];

/** What the mode is expected to do where the model predicts this. */
export function expectedOf(mode: ProxyMode, predicted: string): string {
  const ofMode = limits.filter((limit) => limit.mode === mode);
  return ofMode.reduce((text, { instead }) => instead?.(text) ?? text, predicted);
}

/** Why a mode is not asked for a scenario; `undefined` where it is. */
export function reasonToSkip(mode: ProxyMode, scenario: Scenario): string | undefined {
  return limits.find((limit) => limit.mode === mode && limit.skips?.(scenario))?.reason;
}
