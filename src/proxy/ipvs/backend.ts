import { release } from 'node:os';
import { insideMarkOf, insideMarks } from '../../backends/ipvs/names.ts';
import type { Logger } from '../../component/log.ts';
import type { Iptables } from '../../kernel/iptables/interface.ts';
import { openIptables } from '../../kernel/iptables/tool.ts';
import type { IpvsKernel } from '../../kernel/ipvs/interface.ts';
import { readSysctl, writeSysctl, writeSysctlIfKnown } from '../../kernel/sysctl.ts';
import type { HealthCheck, NodeFacts } from '../../model/types.ts';
import { familyOf, type Ip, type IpFamily } from '../../net/ip.ts';
import type { VirtualAddress } from '../../rules/ipvs/syntax.ts';
import type { Backend, CheckResult, ServicePortUpdates, SyncResult } from '../backend.ts';
import type { ProxyMode } from '../proxy-mode.ts';
import { inSlices } from '../slices.ts';
import { closeServicesKernel, openServicesKernel, type ServicesKernel } from './kernel.ts';
import { FixedRules, type SharedChain } from './rules.ts';
import { type Setting, settingsFor } from './sysctls.ts';
import { ServiceTable, type TableSettings } from './table.ts';

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/** What the configuration says of the mode. */
export interface IpvsModeSettings extends TableSettings {
  /** Whether the node answers ARP only for addresses of the device that is asked, not for those of `kube-ipvs0`. */
  readonly strictArp: boolean;
  /** Milliseconds after which idle connections are forgotten; 0 leaves what the kernel has. */
  readonly timeouts: { readonly tcp: number; readonly tcpFin: number; readonly udp: number };
  /** The bit of a packet's mark, 0 to 31, that says that it is to be masqueraded. */
  readonly masqueradeBit: number;
}

/** How often real servers are looked at that end their connections, milliseconds. */
const drainPeriod = 5_000;

/**
 * The backend on IPVS, the sets and the iptables of this network namespace.
 * @throws SignalboxError `KERNEL_LACKS_IPVS` naming the modules; `IPTABLES_ABSENT`
 */
export async function openIpvsBackend(settings: IpvsModeSettings, log: Logger): Promise<IpvsBackend> {
  const kernel = openServicesKernel();
  try {
    return new IpvsBackend({ kernel, iptables: await openIptables() }, { settings, log });
  } catch (error) {
    closeServicesKernel(kernel);
    throw error;
  }
}

/** What the backend works on. */
export interface IpvsBackendKernel {
  readonly kernel: ServicesKernel;
  readonly iptables: Iptables;
}

/** ipvs mode: virtual servers, sets, addresses on a dummy device, and a few rules that are always the same. */
export class IpvsBackend implements Backend {
  readonly mode = 'ipvs';
  readonly #kernel: ServicesKernel;
  readonly #iptables: Iptables;
  readonly #settings: IpvsModeSettings;
  readonly #log: Logger;
  readonly #table: ServiceTable;
  readonly #rules: ReadonlyMap<IpFamily, FixedRules>;
  /** Families that the node or a Service has, as far as they have been prepared. */
  readonly #prepared = new Set<IpFamily>();
  #node: NodeFacts | undefined;
  #drainTimer: NodeJS.Timeout | undefined;

  constructor({ kernel, iptables }: IpvsBackendKernel, { settings, log }: { settings: IpvsModeSettings; log: Logger }) {
    this.#kernel = kernel;
    this.#iptables = iptables;
    this.#settings = settings;
    this.#log = log;
    this.#table = new ServiceTable(kernel, settings);
    this.#rules = new Map(
      families.map((family) => [family, new FixedRules(iptables, { family, masqueradeBit: settings.masqueradeBit })]),
    );
  }

  async prepare(node: NodeFacts): Promise<void> {
    requireScheduler(this.#kernel.ipvs, this.#settings.scheduler);
    this.#setTimeouts();
    for (const family of families.filter((one) => isOfNode(one, node))) {
      this.#prepareFamily(family);
      const rules = this.#rules.get(family);
      // Chains of an earlier run, or of another mode, stay until there is something to put in their place.
      if (rules !== undefined && !(await rules.isThere())) await rules.write(node);
    }
  }

  async sync(
    node: NodeFacts,
    updates: ServicePortUpdates,
    healthChecks?: ReadonlyMap<string, HealthCheck>,
  ): Promise<SyncResult> {
    this.#node = node;
    for (const family of families) {
      if (isOfNode(family, node) || isOfServices(family, updates)) this.#prepareFamily(family);
    }
    this.#table.setPeers(node.peerAddresses ?? []);
    const result = this.#table.sync(addressesOf(node), updates, healthChecks);
    // Last: they take the Services from the mode that was before.
    for (const family of this.#prepared) await this.#rules.get(family)?.write(node);
    this.#watchDraining();
    this.#tell(result);
    return result;
  }

  async check(signal: AbortSignal): Promise<CheckResult> {
    const node = this.#node;
    if (node === undefined) return { repaired: [], refused: new Map() };
    const repaired: string[] = [];
    for (const family of this.#prepared) {
      this.#table.prepare(family);
      repaired.push(...((await this.#rules.get(family)?.check()) ?? []));
    }
    const result = await inSlices(this.#table.compareInSteps(addressesOf(node)), signal);
    if (result === undefined) return { repaired, refused: new Map() };
    this.#watchDraining();
    this.#tell(result);
    return { ...result, repaired: [...repaired, ...result.repaired] };
  }

  async cleanup(current?: ProxyMode): Promise<readonly string[]> {
    this.#stopDraining();
    const removed: string[] = [];
    for (const [family, rules] of this.#rules) {
      if (await rules.remove(sharedWith(current))) removed.push(`${family} rules of ipvs mode`);
    }
    this.#prepared.clear();
    return [...removed, ...this.#table.clear()];
  }

  close(): void {
    this.#stopDraining();
    closeServicesKernel(this.#kernel);
    this.#iptables.close();
  }

  #prepareFamily(family: IpFamily): void {
    if (this.#prepared.has(family)) return;
    for (const setting of settingsFor(family, { kernelRelease: release(), strictArp: this.#settings.strictArp })) {
      applySetting(setting);
    }
    this.#table.prepare(family);
    this.#prepared.add(family);
  }

  #setTimeouts(): void {
    const { tcp, tcpFin, udp } = this.#settings.timeouts;
    const seconds = (ms: number) => Math.ceil(ms / 1000);
    if (tcp + tcpFin + udp > 0)
      this.#kernel.ipvs.setTimeouts({ tcp: seconds(tcp), tcpFin: seconds(tcpFin), udp: seconds(udp) });
  }

  #tell({ notices = [] }: SyncResult): void {
    for (const { servicePort, message } of notices) this.#log.warn({ servicePort }, message);
  }

  #watchDraining(): void {
    if (this.#table.drains) this.#drainTimer ??= setInterval(() => this.#drain(), drainPeriod).unref();
    else this.#stopDraining();
  }

  #drain(): void {
    try {
      this.#table.drain();
    } catch (err) {
      this.#log.warn({ err }, 'connections of endpoints that are gone could not be looked at; will try again');
    }
    if (!this.#table.drains) this.#stopDraining();
  }

  #stopDraining(): void {
    clearInterval(this.#drainTimer);
    this.#drainTimer = undefined;
  }
}

/**
 * Makes sure that the kernel has a scheduler, by a virtual server that no packet can meet.
 * @throws SignalboxError `KERNEL_LACKS_IPVS`
 */
function requireScheduler(ipvs: IpvsKernel, scheduler: string): void {
  const address: VirtualAddress = { mark: insideMarkOf(insideMarks - 1, 'udp'), family: 'IPv4' };
  const [refusal] = ipvs.apply([{ verb: 'add', address, options: { scheduler, schedulerFlags: [] } }]);
  ipvs.apply([{ verb: 'delete', address }]);
  if (refusal?.error.code === 'KERNEL_LACKS_IPVS') throw refusal.error;
}

function applySetting({ name, value, kind }: Setting): void {
  if (kind === 'where-known') writeSysctlIfKnown(name, value);
  // What is right already may not be ours to write, as in a container.
  else if (readSysctl(name) !== value) writeSysctl(name, value);
}

/** Chains that a mode in use has under the same names. */
function sharedWith(current: ProxyMode | undefined): SharedChain {
  if (current !== 'iptables') return () => false;
  return (table, chain) => (sharedChains[table] ?? []).includes(chain);
}

const sharedChains: { readonly [table: string]: readonly string[] } = {
  nat: ['KUBE-SERVICES', 'KUBE-POSTROUTING', 'KUBE-MARK-MASQ'],
  filter: ['KUBE-FORWARD'],
};

function isOfNode(family: IpFamily, { addresses, localTraffic }: NodeFacts): boolean {
  if (addresses.some((ip) => familyOf(ip) === family)) return true;
  return localTraffic.by === 'source' && localTraffic.blocks.some((block) => block.family === family);
}

function isOfServices(family: IpFamily, updates: ServicePortUpdates): boolean {
  for (const port of updates.values()) {
    if (port?.frontends.some(({ ip }) => familyOf(ip) === family) === true) return true;
  }
  return false;
}

/** The node's own addresses whatever devices they are on. */
function addressesOf({ addresses, nodePortAddresses }: NodeFacts): readonly Ip[] {
  return [...addresses, ...nodePortAddresses];
}
