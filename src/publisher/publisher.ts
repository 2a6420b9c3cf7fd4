import { backoffDelay } from '../component/backoff.ts';
import type { Logger } from '../component/log.ts';
import { isKernelError } from '../kernel/ffi.ts';
import { parseIp } from '../net/ip.ts';
import { Balancer } from '../relay/balancer.ts';
import type { Relay, RelayLimits, RelayTarget } from '../relay/relay.ts';
import { TcpRelay } from '../relay/tcp-relay.ts';
import { UdpRelay } from '../relay/udp-relay.ts';
import type { PublishedProtocol } from './channel.ts';
import { addressText, candidates } from './choices.ts';
import type { HostSockets } from './host-sockets.ts';
import type { Publication } from './publications.ts';
import { type PublishedPort, urlOf } from './record.ts';

/** What went otherwise than wished. */
export interface PublisherNotice {
  readonly publication: Publication;
  /** `PortTaken`: it is elsewhere than one would look. `FailedToPublish`: it is nowhere, and is tried again. */
  readonly reason: 'PortTaken' | 'FailedToPublish';
  readonly message: string;
}

export interface PublisherOptions {
  readonly sockets: Pick<HostSockets, 'bind'>;
  readonly limits: RelayLimits;
  readonly log: Logger;
  /** See `ChoiceOptions`. */
  readonly salt: string;
  /** Where publications were before, by key. */
  readonly choices: ReadonlyMap<string, RelayTarget>;
  /** What is published is another than before. */
  readonly onChange: () => void;
  readonly onNotice: (notice: PublisherNotice) => void;
}

/** A publication, and what has come of it. */
interface Entry {
  publication: Publication;
  readonly balancer: Balancer;
  open?: { readonly address: RelayTarget; readonly relays: readonly Relay[] };
  insteadOf?: RelayTarget;
  problem?: string;
  attempts: number;
  /** By the clock of `performance`. */
  retryAt: number;
}

const loopback = parseIp('127.0.0.1');
const retryBackoff = { initial: 500, max: 60_000 };
/** Pairs of protocols are to have the same port: how often one is tried that is free for the first of them. */
const pairTries = 5;

/** Keeps what is to be published open on the host, and relays what comes there to the cluster. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #choices: Map<string, RelayTarget>;
  #wanted: readonly Publication[] = [];
  /** Which publication has a port, or had it and may have it again. */
  #holders = new Map<string, string>();
  #working = false;
  #again = false;
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#choices = new Map(options.choices);
  }

  /** From now on this is all that is to be published. What is no longer among it is closed, its connections go on. */
  update(wanted: readonly Publication[]): void {
    this.#wanted = wanted;
    this.#review();
  }

  /** All that is to be published, by key. */
  report(): PublishedPort[] {
    return [...this.#entries.values()].map(reportOf).sort((a, b) => (a.key < b.key ? -1 : 1));
  }

  /** Addresses that publications are to have again when they come back. */
  get choices(): ReadonlyMap<string, RelayTarget> {
    return this.#choices;
  }

  /** How many files it has open beside connections. */
  get size(): number {
    return this.#entries.size;
  }

  /** Ends everything at once. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    for (const { open } of this.#entries.values()) for (const relay of open?.relays ?? []) relay.destroy();
    this.#entries.clear();
  }

  /** One pass at a time; what comes meanwhile is for the next. */
  #review(): void {
    this.#again = true;
    if (this.#working) return;
    this.#working = true;
    void this.#passes();
  }

  async #passes(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      clearTimeout(this.#timer);
      const changed = this.#settle();
      const opened = await this.#openWhatIsDue();
      if (this.#stopped) return;
      if (changed || opened) this.#options.onChange();
      this.#planRetry();
    }
    this.#working = false;
  }

  /** Lets go of what is not wanted, and takes in what is. Whether there was any. */
  #settle(): boolean {
    const wanted = new Map(this.#wanted.map((publication) => [publication.key, publication]));
    let changed = false;
    for (const [key, { open }] of this.#entries) {
      if (wanted.has(key)) continue;
      for (const relay of open?.relays ?? []) relay.close();
      this.#entries.delete(key);
      changed = true;
    }
    this.#holders = new Map();
    for (const [key, address] of this.#choices) {
      const publication = wanted.get(key);
      if (publication === undefined) this.#choices.delete(key);
      else this.#hold(publication, address);
    }
    for (const publication of wanted.values()) {
      const entry = this.#entries.get(publication.key) ?? newEntry(publication);
      changed ||= entry.publication !== publication && urlDiffers(entry.publication, publication);
      entry.publication = publication;
      entry.balancer.update(publication.targets, undefined);
      this.#entries.set(publication.key, entry);
    }
    return changed;
  }

  async #openWhatIsDue(): Promise<boolean> {
    const now = performance.now();
    const due = [...this.#entries.values()].filter(({ open, retryAt }) => open === undefined && retryAt <= now);
    for (const entry of due) {
      if (this.#stopped) break;
      await this.#open(entry);
    }
    return due.length > 0;
  }

  async #open(entry: Entry): Promise<void> {
    const { publication } = entry;
    const { key } = publication;
    const wishes = candidates(publication, {
      earlier: this.#choices.get(key),
      isReserved: (address) => this.#isReserved(publication, address),
      salt: this.#options.salt,
    });
    let refusal: NodeJS.ErrnoException | undefined;
    for (const wish of wishes) {
      try {
        const open = await this.#openAt(entry, wish);
        if (this.#stopped) return destroy(open.relays);
        this.#opened(entry, open, refusal === undefined ? undefined : wishes[0]);
        return;
      } catch (error) {
        if (!(error instanceof Error)) throw error;
        refusal = error;
        if (!mayDoElsewhere(error, publication)) break;
      }
    }
    this.#failed(entry, refusal);
  }

  #opened(entry: Entry, open: NonNullable<Entry['open']>, insteadOf: RelayTarget | undefined): void {
    const { publication } = entry;
    entry.open = open;
    entry.attempts = 0;
    delete entry.problem;
    delete entry.insteadOf;
    this.#choices.set(publication.key, open.address);
    this.#hold(publication, open.address);
    this.#options.log.info({ publication: publication.key, address: addressText(open.address) }, 'published');
    // Of addresses of its own none is better than another.
    if (insteadOf === undefined || publication.way === 'ownAddress') return;
    entry.insteadOf = insteadOf;
    this.#options.onNotice({
      publication,
      reason: 'PortTaken',
      message: `${describe(publication)} is at ${addressText(open.address)} on the host: ${addressText(insteadOf)} is taken there`,
    });
  }

  #failed(entry: Entry, refusal: NodeJS.ErrnoException | undefined): void {
    const { publication } = entry;
    const problem = refusal === undefined ? 'no address is left' : problemOf(refusal);
    const isNews = entry.problem !== problem;
    entry.problem = problem;
    entry.retryAt = performance.now() + backoffDelay(entry.attempts++, retryBackoff);
    // An address of its own is not always to be had (its port may be below what users may bind); 127.0.0.1 is.
    if (!isNews || publication.way === 'ownAddress') return;
    const message = `${describe(publication)} cannot be reached from the host: ${problem}`;
    this.#options.onNotice({ publication, reason: 'FailedToPublish', message });
  }

  #hold({ key, protocols }: Publication, address: RelayTarget): void {
    for (const protocol of protocols) this.#holders.set(`${addressText(address)}/${protocol}`, key);
  }

  #isReserved({ key, protocols }: Publication, address: RelayTarget): boolean {
    return protocols.some((protocol) => {
      const holder = this.#holders.get(`${addressText(address)}/${protocol}`);
      return holder !== undefined && holder !== key;
    });
  }

  /** @throws Error with `code` */
  async #openAt(entry: Entry, wish: RelayTarget): Promise<NonNullable<Entry['open']>> {
    for (let tries = pairTries; ; tries--) {
      const relays: Relay[] = [];
      let address = wish;
      try {
        for (const protocol of entry.publication.protocols) {
          const fd = await this.#options.sockets.bind(protocol, address);
          const relay = this.#newRelay(protocol, entry);
          relays.push(relay);
          address = { ip: wish.ip, port: await relay.adopt(fd) };
        }
        return { address, relays };
      } catch (error) {
        destroy(relays);
        const another = wish.port === 0 && relays.length > 0 && tries > 1 && isKernelError(error, 'EADDRINUSE');
        if (!another) throw error;
      }
    }
  }

  #newRelay(protocol: PublishedProtocol, { balancer, publication }: Entry): Relay {
    const { limits, log } = this.#options;
    const onError = (err: Error) => log.warn({ publication: publication.key, err }, 'a client could not be taken');
    return protocol === 'TCP'
      ? new TcpRelay(balancer, { ...limits, onError })
      : new UdpRelay(loopback, balancer, { ...limits, onError });
  }

  #planRetry(): void {
    const waiting = [...this.#entries.values()].filter(({ open }) => open === undefined);
    if (waiting.length === 0) return;
    const next = Math.min(...waiting.map(({ retryAt }) => retryAt));
    this.#timer = setTimeout(() => this.#review(), Math.max(1, next - performance.now()));
  }
}

function newEntry(publication: Publication): Entry {
  return { publication, balancer: new Balancer(), attempts: 0, retryAt: 0 };
}

function destroy(relays: readonly Relay[]): void {
  for (const relay of relays) relay.destroy();
}

/** Whether another port or address may be had where one was refused. */
function mayDoElsewhere(error: Error, { way }: Publication): boolean {
  // All addresses of its own are for the same port, which this user may not have.
  if (way === 'ownAddress' && isKernelError(error, 'EACCES')) return false;
  return isKernelError(error, 'EADDRINUSE', 'EACCES', 'EADDRNOTAVAIL');
}

function problemOf({ code, message }: NodeJS.ErrnoException): string {
  if (code === 'ETIMEDOUT') return 'nobody on the host answers';
  return code === 'EPIPE' ? 'nobody is there on the host any more' : (code ?? message);
}

/** Whether the record says something else of it, wherever it leads. */
function urlDiffers(a: Publication, b: Publication): boolean {
  return a.scheme !== b.scheme || a.portName !== b.portName;
}

function reportOf({ publication, open, insteadOf, problem }: Entry): PublishedPort {
  const { key, service, portName, port, protocols, way, knownBy } = publication;
  return {
    ...{ key, service, portName, port, protocols, way },
    ...(way === 'nodePort' ? { nodePort: knownBy } : {}),
    ...(open === undefined ? {} : { address: addressText(open.address), url: urlOf(publication, open.address) }),
    ...(insteadOf === undefined ? {} : { insteadOf: addressText(insteadOf) }),
    ...(open !== undefined || problem === undefined ? {} : { problem }),
  };
}

/** As it is called in events. */
function describe({ way, knownBy, protocols }: Publication): string {
  if (way === 'dns') return 'cluster DNS';
  return `${way === 'nodePort' ? 'node port' : 'port'} ${knownBy}/${protocols[0]}`;
}
