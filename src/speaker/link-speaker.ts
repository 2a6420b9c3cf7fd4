import type { LinkSocket, openLinkSocket } from '../kernel/link-layer/socket.ts';
import { type ArpPacket, encodeArp, noMac, parseArp } from '../net/arp.ts';
import { familyOf, type Ip, parseIp } from '../net/ip.ts';
import { broadcastMac, formatMac } from '../net/mac.ts';
import { allNodes, encodeNdp, groupMac, parseNdp, solicitedNodeGroup, unspecifiedIpv6 } from '../net/ndp.ts';
import { Duty, type DutyEffects, type Heard, type View } from './duty.ts';
import { Stations } from './stations.ts';

/** The device that is spoken on. */
export interface SpokenLink {
  readonly index: number;
  readonly name: string;
  readonly mac: string;
}

/** Who speaks, and who is told. */
export interface LinkSpeakerOptions {
  readonly link: SpokenLink;
  readonly openLink: typeof openLinkSocket;
  readonly node: { readonly name: string; readonly ip: Ip };
  /** The name of the node with that address. */
  readonly nodeOf: (ip: Ip) => string | undefined;
  readonly now: () => number;
  /** What was heard makes `tick` due at that time. */
  readonly onDue: (dueAt: number) => void;
  readonly onEvent: (kind: 'assigned' | 'in-use' | 'conflict', address: Ip, mac: string) => void;
}

/** What is done about one address on a link. */
export interface DutyReport {
  readonly address: Ip;
  readonly interface: string;
  readonly state: Duty['state'];
  /** Who announces it: a node's name, or the link-layer address of somebody else; absent when nobody is known to. */
  readonly announcedBy?: string;
}

const unspecifiedIpv4 = parseIp('0.0.0.0');

/** Answers for addresses on one device, and asks for them: duties, and the frames by which they are done. */
export class LinkSpeaker {
  readonly #options: LinkSpeakerOptions;
  readonly #socket: LinkSocket;
  readonly #stations: Stations;
  readonly #duties = new Map<Ip, Duty>();

  /** @throws KernelError */
  constructor(options: LinkSpeakerOptions) {
    this.#options = options;
    this.#stations = new Stations({ ask: (mac) => this.#askStation(mac) });
    this.#socket = options.openLink(options.link.index, (frame) => this.#received(frame));
  }

  /** When `tick` has something to do next; infinity: nothing. */
  get dueAt(): number {
    return Math.min(...[...this.#duties.values()].map(({ dueAt }) => dueAt));
  }

  /** The addresses this node takes part in from now on, with what the API says of each. */
  setViews(views: ReadonlyMap<Ip, View>): void {
    const before = this.#duties.size;
    let changed = false;
    for (const [address, duty] of this.#duties) {
      if (views.has(address)) continue;
      duty.stop();
      this.#duties.delete(address);
      changed = true;
    }
    for (const address of views.keys()) {
      if (!this.#duties.has(address)) this.#duties.set(address, this.#newDuty(address));
    }
    if (changed || this.#duties.size !== before) this.#socket.hear([...this.#duties.keys()]);
    for (const [address, view] of views) this.#duties.get(address)?.setView(view, this.#options.now());
  }

  tick(): void {
    // What has come counts before what has not.
    this.#socket.drain();
    const now = this.#options.now();
    for (const duty of this.#duties.values()) duty.tick(now);
  }

  report(): DutyReport[] {
    const { link, node } = this.#options;
    return [...this.#duties].map(([address, { state, holder }]) => {
      const by = state === 'holding' ? node.name : holder && (this.#stations.nodeOf(holder) ?? holder);
      return { address, interface: link.name, state, ...(by === undefined ? {} : { announcedBy: by }) };
    });
  }

  /** Lets all addresses go, so that others take them at once. */
  close(): void {
    for (const duty of this.#duties.values()) duty.stop();
    this.abandon();
  }

  /** Ends without a word: the device is gone, or leads nowhere. */
  abandon(): void {
    this.#socket.close();
  }

  #newDuty(address: Ip): Duty {
    const { node, now, onEvent, link } = this.#options;
    const frames = familyOf(address) === 'IPv4' ? arpFrames(link.mac, address) : ndpFrames(link.mac, address);
    const effects: DutyEffects = {
      probe: (to) => this.#socket.send(frames.probe(to)),
      announce: () => {
        for (const frame of frames.announcement) this.#socket.send(frame);
      },
      answer: (question) => this.#socket.send(frames.answer(question)),
      station: (mac) => this.#stations.look(mac, now()),
      assigned: () => onEvent('assigned', address, link.mac),
      inUse: (mac) => onEvent('in-use', address, mac),
      conflict: (mac) => onEvent('conflict', address, mac),
    };
    return new Duty(address, node.name, effects);
  }

  #received(frame: Uint8Array): void {
    const { link, now, onDue } = this.#options;
    const from = formatMac(frame.subarray(6, 12));
    if (from === link.mac) return;
    const arp = parseArp(frame);
    if (arp?.operation === 'inverse-request' || arp?.operation === 'inverse-reply') {
      this.#introduced(arp);
      return;
    }
    const heard = arp === undefined ? ndpHeard(frame, from) : arpHeard(arp);
    if (heard === undefined) return;
    const duty = this.#duties.get(heard.address);
    if (duty === undefined) return;
    duty.heard(heard.what, now());
    onDue(duty.dueAt);
  }

  /** Another node's speaker says who it is, and may want to know the same. */
  #introduced({ operation, sender }: ArpPacket): void {
    const { link, node, nodeOf, now } = this.#options;
    this.#stations.answered(sender.mac, nodeOf(sender.ip) ?? sender.ip, now());
    if (operation === 'inverse-reply') return;
    const target = familyOf(sender.ip) === familyOf(node.ip) ? sender : { mac: sender.mac, ip: unspecified(node.ip) };
    this.#socket.send(
      encodeArp({ operation: 'inverse-reply', sender: { mac: link.mac, ip: node.ip }, target }, sender.mac),
    );
  }

  #askStation(mac: string): void {
    const { link, node } = this.#options;
    const sender = { mac: link.mac, ip: node.ip };
    const target = { mac, ip: unspecified(node.ip) };
    this.#socket.send(encodeArp({ operation: 'inverse-request', sender, target }, mac));
  }
}

function unspecified(like: Ip): Ip {
  return familyOf(like) === 'IPv4' ? unspecifiedIpv4 : unspecifiedIpv6;
}

type Question = Extract<Heard, { kind: 'question' }>;

/** The frames by which a duty is done. */
interface Frames {
  readonly announcement: readonly Uint8Array[];
  probe(to: string | undefined): Uint8Array;
  answer(question: Question): Uint8Array;
}

function arpFrames(mac: string, address: Ip): Frames {
  const own = { mac, ip: address };
  return {
    announcement: [
      // RFC 5227, section 3: some believe the one form, some the other.
      encodeArp({ operation: 'request', sender: own, target: { mac: noMac, ip: address } }, broadcastMac),
      encodeArp({ operation: 'reply', sender: own, target: own }, broadcastMac),
    ],
    probe: (to = broadcastMac) =>
      encodeArp(
        { operation: 'request', sender: { mac, ip: unspecifiedIpv4 }, target: { mac: noMac, ip: address } },
        to,
      ),
    answer: (question) =>
      encodeArp({ operation: 'reply', sender: own, target: { mac: question.mac, ip: question.ip } }, question.mac),
  };
}

function ndpFrames(mac: string, target: Ip): Frames {
  const group = solicitedNodeGroup(target);
  const advertisement = { kind: 'advertisement', source: target, target, override: true, mac } as const;
  return {
    announcement: [
      encodeNdp({ ...advertisement, destination: allNodes, solicited: false }, { from: mac, to: groupMac(allNodes) }),
    ],
    // From one station to one, and yet to the group: from :: nothing else may be asked (RFC 4861, section 7.1.1).
    probe: (to = groupMac(group)) =>
      encodeNdp({ kind: 'solicitation', source: unspecifiedIpv6, destination: group, target }, { from: mac, to }),
    answer: (question) =>
      encodeNdp(
        {
          ...advertisement,
          destination: question.probe ? allNodes : question.ip,
          solicited: !question.probe,
        },
        { from: mac, to: question.mac },
      ),
  };
}

interface AboutAddress {
  readonly address: Ip;
  readonly what: Heard;
}

function arpHeard({ operation, sender, target }: ArpPacket): AboutAddress | undefined {
  const probe = sender.ip === unspecifiedIpv4;
  // Whoever asks tells its own address, and an announcement is a question of the owner for its own.
  if (operation === 'reply' || sender.ip === target.ip)
    return { address: sender.ip, what: { kind: 'claim', mac: sender.mac } };
  return { address: target.ip, what: { kind: 'question', mac: sender.mac, probe, ip: sender.ip } };
}

function ndpHeard(frame: Uint8Array, from: string): AboutAddress | undefined {
  const packet = parseNdp(frame);
  if (packet === undefined) return undefined;
  const { target: address, source, mac = from } = packet;
  if (packet.kind === 'advertisement') return { address, what: { kind: 'claim', mac } };
  return { address, what: { kind: 'question', mac: from, probe: source === unspecifiedIpv6, ip: source } };
}
