import { servesLoopback } from '../../backends/iptables/compile.ts';
import { isOfNoOtherMode, isOwnChain } from '../../backends/iptables/names.ts';
import type { Logger } from '../../component/log.ts';
import { SignalboxError } from '../../errors/error.ts';
import type { Iptables } from '../../kernel/iptables/interface.ts';
import { openIptables, variantsInUse } from '../../kernel/iptables/tool.ts';
import { readSysctl, writeSysctl } from '../../kernel/sysctl.ts';
import type { HealthCheck, NodeFacts } from '../../model/types.ts';
import type { IpFamily } from '../../net/ip.ts';
import { type Backend, type CheckResult, refusedIn, type ServicePortUpdates, type SyncResult } from '../backend.ts';
import type { ProxyMode } from '../proxy-mode.ts';
import { FamilyRules, type RuleSettings } from './rules.ts';

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];
const loopbackRouting = 'net.ipv4.conf.all.route_localnet';

/** Modes that have some chains of the same names. */
const sharingModes: readonly (string | undefined)[] = ['ipvs'];

/** What the configuration says of the mode. */
export type IptablesModeSettings = Omit<RuleSettings, 'dropInvalid'>;

/**
 * The backend on the iptables of this machine and network namespace.
 * @throws SignalboxError `IPTABLES_ABSENT`
 */
export async function openIptablesBackend(settings: IptablesModeSettings, log: Logger): Promise<IptablesBackend> {
  return new IptablesBackend(await openIptables(), { settings, log });
}

/** iptables mode: kube-proxy's chains and rules, in both families; only chains that change are written. */
export class IptablesBackend implements Backend {
  readonly mode = 'iptables';
  readonly #iptables: Iptables;
  readonly #settings: IptablesModeSettings;
  readonly #log: Logger;
  readonly #rules: readonly FamilyRules[];
  #routesLoopback = false;

  constructor(iptables: Iptables, { settings, log }: { settings: IptablesModeSettings; log: Logger }) {
    this.#iptables = iptables;
    this.#settings = settings;
    this.#log = log;
    this.#rules = families.map((family) => new FamilyRules(iptables, family));
  }

  async prepare(node: NodeFacts): Promise<void> {
    this.#log.info({ variant: this.#iptables.variant }, 'rules go to this variant of iptables');
    for (const rules of this.#rules) await rules.prepare(node, this.#ruleSettings());
  }

  async sync(
    node: NodeFacts,
    updates: ServicePortUpdates,
    healthChecks: ReadonlyMap<string, HealthCheck> = new Map(),
  ): Promise<SyncResult> {
    const settings = this.#ruleSettings();
    const results: SyncResult[] = [];
    for (const rules of this.#rules) results.push(await rules.sync({ node, settings, updates, healthChecks }));
    // Not before the rule is in that keeps neighbours out.
    this.#routeLoopback(node);
    return withTables(results);
  }

  async check(signal: AbortSignal): Promise<CheckResult> {
    const results: CheckResult[] = [];
    for (const rules of this.#rules) results.push(await rules.check(signal));
    return { ...withTables(results), repaired: results.flatMap(({ repaired }) => repaired) };
  }

  async cleanup(current?: ProxyMode): Promise<readonly string[]> {
    const isOurs = sharingModes.includes(current) ? isOfNoOtherMode : isOwnChain;
    const removed = await this.#removeRules(this.#rules, isOurs);
    for (const variant of await variantsInUse()) {
      if (variant === this.#iptables.variant) continue;
      const iptables = await openIptables({ variant });
      const rules = families.map((family) => new FamilyRules(iptables, family));
      removed.push(...(await this.#removeRules(rules, isOurs)));
      iptables.close();
    }
    return removed;
  }

  close(): void {
    this.#iptables.close();
  }

  /** Whether connection tracking places every packet of TCP is the node's own setting; others may change it. */
  #ruleSettings(): RuleSettings {
    return { ...this.#settings, dropInvalid: !placesEveryPacket() };
  }

  async #removeRules(all: readonly FamilyRules[], isOurs: typeof isOwnChain): Promise<string[]> {
    const removed: string[] = [];
    if (isLoopbackRouted() && (await guardsLoopback(all)) && this.#unrouteLoopback())
      removed.push(`the routing of loopback addresses (${loopbackRouting})`);
    for (const rules of all) removed.push(...(await rules.remove(isOurs)));
    return removed;
  }

  /** Without the rule that guards them, neighbours could come to what listens on loopback addresses. */
  #unrouteLoopback(): boolean {
    try {
      writeSysctl(loopbackRouting, 0);
      return true;
    } catch (error) {
      this.#log.warn({ err: error }, 'neighbours may reach what listens on 127.0.0.1');
      return false;
    }
  }

  /** Answers to 127.0.0.1 come from Pods, and the kernel drops what comes for that network from elsewhere unless told. */
  #routeLoopback(node: NodeFacts): void {
    if (this.#routesLoopback || !servesLoopback({ ...this.#settings, family: 'IPv4', node, dropInvalid: true })) return;
    this.#routesLoopback = true;
    try {
      writeSysctl(loopbackRouting, 1);
    } catch (error) {
      this.#log.warn({ err: error }, 'node ports are not served on 127.0.0.1');
    }
  }
}

function isLoopbackRouted(): boolean {
  return readSysctl(loopbackRouting) !== '0';
}

async function guardsLoopback(all: readonly FamilyRules[]): Promise<boolean> {
  for (const rules of all) if (await rules.guardsLoopback()) return true;
  return false;
}

function placesEveryPacket(): boolean {
  try {
    return readSysctl('net.netfilter.nf_conntrack_tcp_be_liberal') !== '0';
  } catch (error) {
    // The parameter comes with the first rule that needs connection tracking.
    if (error instanceof SignalboxError) return false;
    throw error;
  }
}

function withTables(results: readonly SyncResult[]): SyncResult {
  const partialFailures = results.flatMap(({ partialFailures = [] }) => partialFailures);
  return { refused: refusedIn(results), tables: results.flatMap(({ tables = [] }) => tables), partialFailures };
}
