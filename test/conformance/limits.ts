import type { ProxyMode } from '../../src/proxy/config.ts';
import { allAsNode, type Scenario } from './scenario.ts';

/** Something that a mode cannot do. The table in docs/proxy-modes.md has the same lines. */
export interface Limit {
  readonly mode: ProxyMode;
  /** What is not as in the other modes, in the words of the table. */
  readonly what: string;
  readonly reason: string;
  /** Scenarios, and tests of changes by their names, that cannot be played for this reason. */
  readonly skips?: (scenario: Pick<Scenario, 'name'> & Partial<Scenario>) => boolean;
  /** What is to be expected in the place of what the model predicts, in the words of `Call.expect`. */
  readonly instead?: (predicted: string) => string;
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
    skips: ({ services = [] }) => services.some(({ protocol }) => protocol === 'SCTP'),
  },
];

/** What the mode is expected to do where the model predicts this. */
export function expectedOf(mode: ProxyMode, predicted: string): string {
  const ofMode = limits.filter((limit) => limit.mode === mode);
  return ofMode.reduce((text, { instead }) => instead?.(text) ?? text, predicted);
}

/** Why a mode is not asked for a scenario; `undefined` where it is. */
export function reasonToSkip(
  mode: ProxyMode,
  scenario: Pick<Scenario, 'name'> & Partial<Scenario>,
): string | undefined {
  return limits.find((limit) => limit.mode === mode && limit.skips?.(scenario))?.reason;
}
