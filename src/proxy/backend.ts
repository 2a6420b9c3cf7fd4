import type { Logger } from '../component/log.ts';
import type { SignalboxError } from '../errors/error.ts';
import type { HealthCheck, NodeFacts, ServicePort } from '../model/types.ts';
import type { IpFamily } from '../net/ip.ts';
import type { ProxyConfig } from './config.ts';
import type { ProxyMode } from './proxy-mode.ts';

/** What a backend is made with. */
export interface BackendOptions {
  readonly config: ProxyConfig;
  readonly log: Logger;
}

/** What is to become of Service ports: by name, `undefined` for those that are gone. */
export type ServicePortUpdates = ReadonlyMap<string, ServicePort | undefined>;

/** Something a backend did otherwise than a Service or the node asked for, to be told to whoever looks at that object. */
export interface Notice {
  /** A Service port's name; the node when absent. */
  readonly servicePort?: string;
  /** In one word, as events have it: `NodeAddressNotBound`. */
  readonly reason: string;
  readonly message: string;
}

/** The rules of one table of iptables. */
export interface TableRules {
  readonly family: IpFamily;
  readonly table: string;
  /** How many of ours there are. */
  readonly total: number;
  /** How many this sync wrote. */
  readonly written: number;
}

/** What a backend did and could not do. */
export interface SyncResult {
  /** Service ports that the kernel refused, by name. In the kernel they are as they were before. */
  readonly refused: ReadonlyMap<string, SignalboxError>;
  /** Each once, when it begins to be so. */
  readonly notices?: readonly Notice[];
  /** Of modes with tables of rules. */
  readonly tables?: readonly TableRules[];
  /** Families of which the changes by themselves were refused, so that all had to be compared and written. */
  readonly partialFailures?: readonly IpFamily[];
}

/** What was found when the kernel was compared with what should be in it. */
export interface CheckResult extends SyncResult {
  /** One line for each kind of difference that was found and put right; empty if all was as it should be. */
  readonly repaired: readonly string[];
}

/**
 * One proxy mode: brings the model into the kernel. Calls never overlap. It keeps what it was told, so that it can
 * compare; what others have in the kernel it leaves alone. A failed call changed nothing or only part, and the next
 * call finishes it.
 */
export interface Backend {
  readonly mode: ProxyMode;
  /**
   * Writes ahead what has no influence on any packet as long as there is no Service port. To be called once, before
   * anything else; takes what it can off the time between knowing the Services and serving them.
   */
  prepare(node: NodeFacts): Promise<void>;
  /**
   * Changes Service ports, and what depends on the node, in one transaction where the mode has transactions. The first
   * call has all Service ports there are: what an earlier run left in the kernel is changed into that, without a
   * moment in between in which a Service is gone.
   * @param healthChecks all that balancers may ask this node about, by Service: a mode that shares its tables with
   *   others' rules lets that in
   */
  sync(
    node: NodeFacts,
    updates: ServicePortUpdates,
    healthChecks?: ReadonlyMap<string, HealthCheck>,
  ): Promise<SyncResult>;
  /**
   * Compares with the kernel and repairs. Lets others have the thread every few milliseconds; if the signal aborts it
   * gives up soon, and what it says then is not all.
   */
  check(signal: AbortSignal): Promise<CheckResult>;
  /**
   * Removes all that this mode has in the kernel, left by whatever process, and nothing else. Gives what it removed, a
   * line for each thing that a user would know by name; nothing if nothing was there.
   * @param current the mode in use, when another one's rules are to stay: what this mode shares with it stays too
   */
  cleanup(current?: ProxyMode): Promise<readonly string[]>;
  /** Lets go of the kernel; rules stay. */
  close(): void;
}

/** Everything that was refused, where one call is carried out in several. */
export function refusedIn(results: readonly SyncResult[]): SyncResult['refused'] {
  return new Map(results.flatMap(({ refused }) => [...refused]));
}
