import { isDatagramServer, type SetName, setDeclaration, setNameIn, setNames } from '../../backends/ipvs/names.ts';
import { isWithheld } from '../../backends/ipvs/program.ts';
import { compileHealthCheck, compileServicePort } from '../../backends/ipvs/service.ts';
import type { SignalboxError } from '../../errors/error.ts';
import type { HealthCheck, ServicePort } from '../../model/types.ts';
import type { Cidr } from '../../net/cidr.ts';
import { familyOf, type Ip, type IpFamily } from '../../net/ip.ts';
import { printEntryKey } from '../../rules/ipset/print.ts';
import { printVirtualAddress } from '../../rules/ipvs/print.ts';
import { type Resource, ResourceStore, sameResource } from '../../rules/ipvs/resources.ts';
import type { VirtualServer } from '../../rules/ipvs/syntax.ts';
import type { Notice, ServicePortUpdates, SyncResult } from '../backend.ts';
import { Draining } from './draining.ts';
import { InsideNumbers } from './inside-numbers.ts';
import type { ServicesKernel } from './kernel.ts';
import { leftovers } from './leftovers.ts';
import { type Change, Work } from './work.ts';

/** What the table depends on besides Services. */
export interface TableSettings {
  readonly scheduler: string;
  /** Virtual servers in these blocks that no Service asks for are somebody else's. */
  readonly excludeCidrs: readonly Cidr[];
}

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/** What was found when the table was compared with the kernel. */
export interface Comparison extends SyncResult {
  readonly repaired: readonly string[];
}

/**
 * Virtual servers, sets and addresses of all Services: what should be in the kernel, and how that gets there. It keeps
 * in mind what the kernel has, so that a change costs as much as it is large.
 */
export class ServiceTable {
  readonly #kernel: ServicesKernel;
  readonly #settings: TableSettings;
  readonly #store = new ResourceStore();
  readonly #numbers = new InsideNumbers();
  readonly #draining: Draining;
  /** What the kernel has, as far as it is ours. */
  #present = new Map<string, Resource>();
  /** Families that are prepared. */
  readonly #families = new Set<IpFamily>();
  /** The Services that balancers may ask about: on which port, and in how many families that is let in. */
  readonly #healthChecked = new Map<string, { readonly port: number; readonly families: number }>();
  /** Addresses of the node's own, which are not put on the dummy device. */
  #own: ReadonlySet<Ip> = new Set();
  /** Addresses of other nodes, which are not put there either. */
  #peers: ReadonlySet<Ip> = new Set();
  /** Keys that the next sync looks at, whatever else has changed. */
  readonly #reviewed = new Set<string>();
  /** Whether the kernel is known to have what `#present` says; not before the first sync, nor after a failure. */
  #certain = false;
  /** Service ports whose users have been told, by Service port and address. */
  readonly #told = new Set<string>();

  constructor(kernel: ServicesKernel, settings: TableSettings) {
    this.#kernel = kernel;
    this.#settings = settings;
    this.#draining = new Draining(kernel.ipvs);
  }

  /** Makes the device and the sets of a family, as far as they are not there. */
  prepare(family: IpFamily): void {
    this.#kernel.addresses.makeDevice();
    const there = new Set(this.#kernel.ipset.names());
    const missing = setNames.filter((name) => !there.has(setNameIn(name, family)));
    const [refusal] = this.#kernel.ipset.apply(
      missing.map((name) => ({ verb: 'create', set: setDeclaration(name, family) })),
    );
    if (refusal !== undefined) throw refusal.error;
    this.#families.add(family);
  }

  /** From the next sync on these addresses are left to other nodes: with them on the device, none is reached from here. */
  setPeers(addresses: readonly Ip[]): void {
    const peers = new Set(addresses);
    for (const key of addressKeys(differing(this.#peers, peers))) this.#reviewed.add(key);
    this.#peers = peers;
  }

  /** Whether real servers are left that end their connections. */
  get drains(): boolean {
    return this.#draining.any;
  }

  /** Deletes real servers whose connections have ended. */
  drain(): void {
    if (!this.#certain) return;
    for (const server of this.#draining.finish(Date.now())) this.#keep(printVirtualAddress(server.address), server);
  }

  /**
   * Changes Service ports. If it is not known what the kernel has, all is compared; what an earlier run left or others
   * made of it becomes what should be.
   * @param nodeAddresses the node's own besides those of its devices
   * @param healthChecks all that balancers may ask about, by Service
   */
  sync(
    nodeAddresses: readonly Ip[],
    updates: ServicePortUpdates,
    healthChecks: ReadonlyMap<string, HealthCheck> = new Map(),
  ): SyncResult {
    const keys = this.#replaceHealthChecks(healthChecks);
    if (!this.#certain) return this.compare(nodeAddresses, updates);
    for (const key of [...this.#replace(updates), ...this.#reviewed]) keys.add(key);
    if (this.#bindsAddress(keys) || nodeAddresses.some((ip) => !this.#own.has(ip)))
      for (const key of this.#readOwn(nodeAddresses)) keys.add(key);
    return this.#apply(keys);
  }

  /** Reads the kernel and puts right what differs. */
  compare(nodeAddresses: readonly Ip[], updates: ServicePortUpdates = new Map()): Comparison {
    const steps = this.compareInSteps(nodeAddresses, updates);
    for (;;) {
      const step = steps.next();
      if (step.done === true) return step.value;
    }
  }

  /** As `compare`, with pauses between steps of a few milliseconds. Nothing else may be asked before the end. */
  *compareInSteps(
    nodeAddresses: readonly Ip[],
    updates: ServicePortUpdates = new Map(),
  ): Generator<undefined, Comparison, undefined> {
    this.#certain = false;
    const before = new Map(this.#present);
    this.#present = yield* leftovers(this.#kernel, {
      isWanted: (key) => this.#store.get(key) !== undefined || before.has(key),
      excludeCidrs: this.#settings.excludeCidrs,
    });
    this.#numbers.learn(this.#present.values());
    this.#replace(updates);
    this.#readOwn(nodeAddresses);
    this.#draining.forget();
    const keys = new Set([...this.#present.keys(), ...this.#store.keys()]);
    const repaired = before.size === 0 ? [] : this.#describe(before);
    const result = this.#apply(keys);
    return { ...result, repaired };
  }

  /** Removes all that is ours. Gives what was there, in a few words. */
  clear(): string[] {
    const removed: string[] = [];
    const { ipvs, ipset, addresses } = this.#kernel;
    const steps = leftovers(this.#kernel, { isWanted: () => false, excludeCidrs: this.#settings.excludeCidrs });
    let step = steps.next();
    while (step.done !== true) step = steps.next();
    const servers = [...step.value.values()].filter((resource) => resource.kind === 'virtual-server');
    ipvs.apply(servers.map(({ server }) => ({ verb: 'delete', address: server.address })));
    if (servers.length > 0) removed.push(`${servers.length} IPVS virtual servers`);
    if (addresses.deleteDevice()) removed.push('the device kube-ipvs0');
    const ours = new Set(families.flatMap((family) => setNames.map((name) => setNameIn(name, family))));
    const names = ipset.names().filter((name) => ours.has(name));
    const [refusal] = ipset.apply(names.map((name) => ({ verb: 'destroy', name })));
    if (refusal !== undefined) throw refusal.error;
    if (names.length > 0) removed.push(`${names.length} ipsets`);
    this.#certain = false;
    this.#present.clear();
    this.#draining.forget();
    return removed;
  }

  #replace(updates: ServicePortUpdates): Set<string> {
    const keys = new Set<string>();
    for (const [name, port] of updates) {
      for (const key of this.#store.replace(name, port === undefined ? [] : this.#compile(port))) keys.add(key);
    }
    return keys;
  }

  #replaceHealthChecks(checks: ReadonlyMap<string, HealthCheck>): Set<string> {
    const keys = new Set<string>();
    const families = [...this.#families];
    const gone = [...this.#healthChecked.keys()].filter((service) => !checks.has(service));
    for (const service of [...gone, ...checks.keys()]) {
      const check = checks.get(service);
      const before = this.#healthChecked.get(service);
      if (before !== undefined && before.port === check?.port && before.families === families.length) continue;
      const resources = check === undefined ? [] : families.map((family) => compileHealthCheck(check, family));
      for (const key of this.#store.replace(`health check of ${service}`, resources)) keys.add(key);
      if (check === undefined) this.#healthChecked.delete(service);
      else this.#healthChecked.set(service, { port: check.port, families: families.length });
    }
    return keys;
  }

  #compile(port: ServicePort): Resource[] {
    const { scheduler } = this.#settings;
    return compileServicePort(port, { scheduler, insideNumber: (frontend) => this.#numbers.of(frontend) });
  }

  /** Whether an address comes to the device by these changes: then it must be known which are the node's own. */
  #bindsAddress(keys: ReadonlySet<string>): boolean {
    for (const key of keys) {
      if (this.#store.get(key)?.kind === 'address' && !this.#present.has(key)) return true;
    }
    return false;
  }

  /** Reads which addresses are the node's own. Gives the keys that this concerns. */
  #readOwn(nodeAddresses: readonly Ip[]): string[] {
    const own = new Set([...nodeAddresses, ...this.#kernel.addresses.others()]);
    const different = differing(this.#own, own);
    this.#own = own;
    return addressKeys(different);
  }

  /** What is to be in the kernel under a key. */
  #wanted(key: string): Resource | undefined {
    const resource = this.#store.get(key);
    if (resource === undefined) return undefined;
    return isWithheld(resource, this.#own) || isWithheld(resource, this.#peers) ? undefined : resource;
  }

  #apply(keys: ReadonlySet<string>): SyncResult {
    this.#certain = false;
    const work = new Work((server) => !isDatagramServer(server.address));
    for (const key of keys) work.add({ key, before: this.#present.get(key), after: this.#wanted(key) });
    const refused = work.run(this.#kernel);
    for (const change of work.changes) this.#note(change, refused);
    this.#certain = refused.size === 0;
    this.#reviewed.clear();
    const notices = this.#noticesAbout(keys);
    return { refused: this.#byOwner(refused), ...(notices.length === 0 ? {} : { notices }) };
  }

  #note({ key, after }: Change, refused: ReadonlyMap<string, SignalboxError>): void {
    if (refused.has(key)) return;
    if (after?.kind === 'virtual-server') {
      const wanted = this.#wanted(key);
      const servers = wanted?.kind === 'virtual-server' ? wanted.server.realServers : [];
      this.#draining.watch(after.server, servers, Date.now());
    } else this.#draining.drop(key);
    if (after === undefined) {
      this.#present.delete(key);
      if (this.#store.get(key) === undefined) this.#numbers.release(key);
    } else this.#present.set(key, after);
  }

  #keep(key: string, server: VirtualServer): void {
    if (server.realServers.length === 0) this.#present.delete(key);
    else this.#present.set(key, { kind: 'virtual-server', server });
  }

  #byOwner(refused: ReadonlyMap<string, SignalboxError>): Map<string, SignalboxError> {
    const owners = new Map<string, SignalboxError>();
    for (const [key, error] of refused) {
      const names = this.#store.ownersOf(key);
      // What is left of a Service that is gone is nobody's to be told of.
      if (names.length === 0) throw error;
      for (const name of names) owners.set(name, error);
    }
    return owners;
  }

  /** A notice for each Service port that has come to ask for an address of the node's own. */
  #noticesAbout(keys: ReadonlySet<string>): Notice[] {
    const notices: Notice[] = [];
    for (const key of keys) {
      const resource = this.#store.get(key);
      const ip = resource?.kind === 'address' ? resource.ip : undefined;
      if (ip === undefined || !this.#own.has(ip)) {
        this.#forgetTold(key);
        continue;
      }
      for (const servicePort of this.#store.ownersOf(key)) {
        if (this.#told.has(`${ip} ${servicePort}`)) continue;
        this.#told.add(`${ip} ${servicePort}`);
        notices.push({
          servicePort,
          reason: 'NodeAddressNotBound',
          message: `${ip} is an address of this node: it is served here, and not put on kube-ipvs0, as the node would not be reached by it any more`,
        });
      }
    }
    return notices;
  }

  #forgetTold(ip: string): void {
    for (const entry of this.#told) if (entry.startsWith(`${ip} `)) this.#told.delete(entry);
  }

  /** What the kernel has otherwise than it was left, a line for each kind. */
  #describe(before: ReadonlyMap<string, Resource>): string[] {
    const counts = new Map<string, number>();
    const count = (what: string) => counts.set(what, (counts.get(what) ?? 0) + 1);
    for (const [key, resource] of before) {
      const now = this.#present.get(key);
      if (now === undefined) count(`${words[resource.kind]} were missing`);
      else if (!sameResource(resource, now)) count(`${words[resource.kind]} were changed`);
    }
    for (const [key, resource] of this.#present) {
      if (!before.has(key)) count(`${words[resource.kind]} were nobody's`);
    }
    return [...counts].map(([what, number]) => `${number} ${what}`);
  }
}

const words: { readonly [K in Resource['kind']]: string } = {
  'virtual-server': 'virtual servers',
  entry: 'entries of ipsets',
  address: 'addresses of kube-ipvs0',
};

function differing(before: ReadonlySet<Ip>, now: ReadonlySet<Ip>): Ip[] {
  return [...[...now].filter((ip) => !before.has(ip)), ...[...before].filter((ip) => !now.has(ip))];
}

/** Where it counts whether an address is withheld. */
function addressKeys(addresses: readonly Ip[]): string[] {
  return addresses.flatMap((ip) => [ip, entryKey('KUBE-IPVS-IPS', ip)]);
}

function entryKey(name: SetName, ip: Ip): string {
  return `${setNameIn(name, familyOf(ip))} ${printEntryKey({ ip })}`;
}
