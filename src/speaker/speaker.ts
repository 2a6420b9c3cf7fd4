import type { Logger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import { isKernelError } from '../kernel/ffi.ts';
import { openLinkSocket } from '../kernel/link-layer/socket.ts';
import { openRoutes, type Routes } from '../kernel/links.ts';
import type { AddressEntry } from '../kernel/netlink/address-messages.ts';
import { type NetlinkWatch, routeGroup, watchNetlink } from '../kernel/netlink/watch.ts';
import { bits, cidrContains, parseCidr } from '../net/cidr.ts';
import { familyOf, type Ip } from '../net/ip.ts';
import { answersForOtherDevices } from './arp-settings.ts';
import type { View } from './duty.ts';
import { type Claim, type NodeFacts, rankNodes } from './election.ts';
import { type DutyReport, LinkSpeaker, type SpokenLink } from './link-speaker.ts';

/** All that an API says about who may announce what. */
export interface Picture {
  readonly claims: ReadonlyMap<Ip, readonly Claim[]>;
  readonly nodes: readonly NodeFacts[];
  /** Whether the API is followed. */
  readonly isCurrent: boolean;
}

/** What happened to an address, on which link, and whose link-layer address it is about. */
export interface SpeakerEvent {
  readonly kind: 'assigned' | 'in-use' | 'conflict' | 'kernel-answers';
  readonly address: Ip;
  readonly interface: string;
  readonly mac: string;
}

/** Who speaks, and how. */
export interface SpeakerOptions {
  readonly nodeName: string;
  /** Names of devices, on which every address is announced; without them, where the node's own addresses are near. */
  readonly interfaces?: readonly string[] | undefined;
  readonly log: Logger;
  readonly onEvent: (event: SpeakerEvent) => void;
  /** Opens a device where the node's links are: `openLinkSocket`, unless the thread is elsewhere by then. */
  readonly openLink?: typeof openLinkSocket;
  /** Whether the node's own rules serve the address. */
  readonly serves: (address: Ip) => boolean;
}

/** A device, and the addresses that belong there. */
interface Placed {
  readonly link: SpokenLink;
  readonly addresses: ReadonlySet<Ip>;
}

/** One turn of the loop is enough for what came together. */
const leastWaitMs = 5;
const longestWaitMs = 60_000;

/**
 * The speaker of one node, in the network namespace the calling thread is in when it is made: keeps to a picture of the
 * cluster and to the node's links, and announces what it is this node's turn to announce.
 */
export class Speaker {
  readonly #options: SpeakerOptions;
  readonly #routes: Routes;
  readonly #watch: NetlinkWatch;
  readonly #links = new Map<number, { readonly link: SpokenLink; readonly speaker: LinkSpeaker }>();
  #answeredByKernel = new Set<string>();
  /** Devices on which nothing can be sent, by name. */
  readonly #mute = new Set<string>();
  #picture: Picture = { claims: new Map(), nodes: [], isCurrent: false };
  #timer: NodeJS.Timeout | undefined;
  #isUnknown = false;
  #wakesAt = Number.POSITIVE_INFINITY;
  #pending: NodeJS.Immediate | undefined;

  /** @throws KernelError */
  constructor(options: SpeakerOptions) {
    this.#options = options;
    this.#routes = openRoutes();
    const look = () => this.review();
    this.#watch = watchNetlink('route', [routeGroup.link, routeGroup.ipv4Address, routeGroup.ipv6Address], {
      message: look,
      overrun: look,
    });
  }

  /** From now on this is the picture. */
  update(picture: Picture): void {
    this.#picture = picture;
    this.#tellIfUnknown();
    this.review();
  }

  /** Looks anew at what there is to do: something has changed. */
  review(): void {
    this.#pending ??= setImmediate(() => {
      this.#pending = undefined;
      this.#apply();
    });
  }

  /** What is done about each address. */
  report(): DutyReport[] {
    return [...this.#links.values()].flatMap(({ speaker }) => speaker.report());
  }

  /** Lets all addresses go: others take them at once. */
  stop(): void {
    this.#end((speaker) => speaker.close());
  }

  /** Ends as if the process had been killed. */
  abandon(): void {
    this.#end((speaker) => speaker.abandon());
  }

  /** Mostly it is the name that is wrong: nothing else would say why this node never has its turn. */
  #tellIfUnknown(): void {
    const { nodeName: node, log } = this.#options;
    const isUnknown = !this.#picture.nodes.some(({ name }) => name === node);
    if (isUnknown && !this.#isUnknown)
      log.warn({ node }, 'there is no Node of this name (nodeName gives another): nothing is announced here');
    this.#isUnknown = isUnknown;
  }

  #end(how: (speaker: LinkSpeaker) => void): void {
    clearTimeout(this.#timer);
    clearImmediate(this.#pending);
    this.#watch.close();
    this.#routes.close();
    for (const { speaker } of this.#links.values()) how(speaker);
    this.#links.clear();
  }

  #apply(): void {
    const views = this.#views();
    const own = views.size === 0 ? [] : this.#routes.listAddresses();
    const wanted = this.#placed([...views.keys()], own);
    for (const [index, { link, speaker }] of this.#links) {
      const now = wanted.find((each) => each.link.index === index);
      if (now?.link.mac === link.mac) continue;
      // A device that is there and has lost its last address is still good to say so.
      if (now === undefined && this.#routes.getLink(index)?.running === true) speaker.close();
      else speaker.abandon();
      this.#links.delete(index);
    }
    for (const { link, addresses } of wanted) {
      const mine = new Map([...views].filter(([address]) => addresses.has(address)));
      this.#speakerOn(link)?.setViews(mine);
    }
    this.#tick();
    this.#listenToKernel(wanted, own);
  }

  /** Tells, once, of addresses on a link that the kernel answers for as well, since it has them on another device. */
  #listenToKernel(wanted: readonly Placed[], own: readonly AddressEntry[]): void {
    const before = this.#answeredByKernel;
    this.#answeredByKernel = new Set();
    for (const { link, addresses } of wanted) {
      // Of neighbour solicitations a kernel answers those for the very device alone.
      const elsewhere = own.filter(
        ({ ip, link: device }) => device !== link.index && familyOf(ip) === 'IPv4' && addresses.has(ip),
      );
      if (elsewhere.length === 0 || !answersForOtherDevices(link.name)) continue;
      for (const { ip: address } of elsewhere) {
        const about = `${address} ${link.name}`;
        this.#answeredByKernel.add(about);
        if (!before.has(about))
          this.#options.onEvent({ kind: 'kernel-answers', address, interface: link.name, mac: link.mac });
      }
    }
  }

  /** Of all addresses that this node may announce. */
  #views(): Map<Ip, View> {
    const { claims, nodes, isCurrent } = this.#picture;
    const views = new Map<Ip, View>();
    for (const [address, services] of claims) {
      const candidates = rankNodes(address, services, nodes);
      const rank = candidates.indexOf(this.#options.nodeName) + 1;
      if (rank > 0 && this.#options.serves(address)) views.set(address, { rank, candidates, isCurrent });
    }
    return views;
  }

  /** Devices that lead somewhere, with the addresses that belong there. */
  #placed(addresses: readonly Ip[], known: readonly AddressEntry[]): Placed[] {
    if (addresses.length === 0) return [];
    const { interfaces } = this.#options;
    // A block of one address is no link: so lie the addresses of Services on kube-ipvs0.
    const own = known.filter(({ ip, prefix }) => prefix < bits(familyOf(ip)));
    return this.#routes.listLinks().flatMap(({ index, name, mac, running }) => {
      if (!running || mac === undefined || name === 'lo' || interfaces?.includes(name) === false) return [];
      const blocks = own.filter((each) => each.link === index).map(({ ip, prefix }) => parseCidr(`${ip}/${prefix}`));
      const here = addresses.filter(
        (address) => interfaces !== undefined || blocks.some((block) => cidrContains(block, address)),
      );
      return here.length === 0 ? [] : [{ link: { index, name, mac }, addresses: new Set(here) }];
    });
  }

  #speakerOn(link: SpokenLink): LinkSpeaker | undefined {
    const known = this.#links.get(link.index)?.speaker;
    const { nodeName, log, onEvent, openLink = openLinkSocket } = this.#options;
    const [ip] = this.#picture.nodes.find(({ name }) => name === nodeName)?.addresses ?? [];
    // Without an address of its own it could not say who it is.
    if (known !== undefined || ip === undefined) return known;
    try {
      const speaker = new LinkSpeaker({
        link,
        openLink,
        node: { name: nodeName, ip },
        nodeOf: (of) => this.#picture.nodes.find(({ addresses }) => addresses.includes(of))?.name,
        now: () => performance.now(),
        // Who follows whom is a matter of a tenth of a second: what was heard must not wait for what was due before.
        onDue: (dueAt) => {
          if (dueAt < this.#wakesAt) this.#wakeAt(dueAt);
        },
        onEvent: (kind, address, mac) => onEvent({ kind, address, interface: link.name, mac }),
      });
      this.#links.set(link.index, { link, speaker });
      this.#mute.delete(link.name);
      return speaker;
    } catch (cause) {
      // It is tried at every look, and what is to be said of it stays the same.
      if (!this.#mute.has(link.name))
        log.error({ interface: link.name, err: unspeakable(link.name, cause) }, 'cannot speak on a device');
      this.#mute.add(link.name);
      return undefined;
    }
  }

  #tick(): void {
    for (const { speaker } of this.#links.values()) speaker.tick();
    this.#wakeAt(Math.min(...[...this.#links.values()].map(({ speaker }) => speaker.dueAt)));
  }

  #wakeAt(dueAt: number): void {
    clearTimeout(this.#timer);
    this.#wakesAt = dueAt;
    if (dueAt === Number.POSITIVE_INFINITY) return;
    const wait = Math.max(leastWaitMs, Math.min(longestWaitMs, dueAt - performance.now()));
    this.#timer = setTimeout(() => this.#tick(), wait);
  }
}

function unspeakable(device: string, cause: unknown): SignalboxError {
  return new SignalboxError('KERNEL_REFUSED', {
    object: `speaking ARP and neighbour discovery on ${device}`,
    problem: `was refused by the kernel: ${cause instanceof Error ? cause.message : String(cause)}`,
    remedy: isKernelError(cause, 'EPERM') ? 'run it with CAP_NET_RAW' : 'see whether the device is there',
    cause,
  });
}
