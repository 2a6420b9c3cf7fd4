import type { Ip } from '../net/ip.ts';
import { outranks } from './election.ts';

/** What the API says of an address, from one node's point of view. Only nodes that may announce it have one. */
export interface View {
  /** From 1: the node that is wanted most. */
  readonly rank: number;
  /** All nodes that may announce it. */
  readonly candidates: readonly string[];
  /** Whether the API is followed; without it the view is what it was when it broke off. */
  readonly isCurrent: boolean;
}

/** Who is behind a link-layer address: a node, somebody who does not say, or nobody has had time to say. */
export type Station = { readonly node: string } | 'stranger' | 'unknown';

/** A station on the link says that it has the address, or asks who has. */
export type Heard =
  | { readonly kind: 'claim'; readonly mac: string }
  /** `probe`: whoever asks does not say for which address of its own. */
  | { readonly kind: 'question'; readonly mac: string; readonly probe: boolean; readonly ip: Ip };

/** What a duty does on the link and tells others. */
export interface DutyEffects {
  /** Asks who has the address without saying who asks: all stations, or one. */
  probe(to: string | undefined): void;
  /** Tells all stations that this one has the address. */
  announce(): void;
  answer(question: Extract<Heard, { kind: 'question' }>): void;
  /** Who that station is; asks it if need be. */
  station(mac: string): Station;
  /** The address is announced from here from now on. */
  assigned(): void;
  /** Somebody who is none of ours has the address, which is not announced for that reason. */
  inUse(mac: string): void;
  /** Somebody who is none of ours claims the address, which is announced from here. */
  conflict(mac: string): void;
}

/** Times in milliseconds. */
const timing = {
  /** Before first use the address is asked for so many times, so far apart (RFC 5227 takes seconds). */
  probes: 3,
  probeEvery: 150,
  /** How often those who stand by ask the one who has the address. */
  pollEvery: 250,
  /** Who stands by takes over after `silence` plus `perRank` for each rank. */
  silence: 750,
  perRank: 250,
  /** Only the first so many ask; the others listen for announcements, and wait so much longer. */
  pollers: 3,
  passiveSilence: 9_000,
  /** When the one who had the address has let it go, ranks follow each other so closely. */
  successionStep: 100,
  /** Announcements at the beginning, after the first, and how often from then on. */
  firstAnnouncements: [150, 500, 1_000, 2_000],
  announceEvery: 3_000,
  /** Least time between announcements in a dispute with a node, and with a stranger (RFC 5227, section 2.4). */
  disputeEvery: 300,
  defendEvery: 10_000,
  /** A node that has the address and may not, as far as the API says, is given so long to learn that. */
  challengeAfter: 2_000,
  /** An address that a stranger has is looked at again after so long. */
  recheckAfter: 10_000,
} as const;

type State =
  | { readonly name: 'idle' }
  | { readonly name: 'checking'; sent: number; nextAt: number }
  | {
      readonly name: 'standby';
      holder: string | undefined;
      heardAt: number;
      unanswered: number;
      nextPollAt: number;
      /** When to take over, of an address that was let go. */
      takeAt: number | undefined;
      /** Since when the holder is one that may not. */
      illegitimateSince: number | undefined;
    }
  | {
      readonly name: 'holding';
      announcements: number;
      nextAt: number;
      announcedAt: number;
      /** Claims it too. */
      rival: string | undefined;
      defendedAt: number;
    }
  | { readonly name: 'refused'; readonly mac: string; readonly since: number };

/**
 * What one node does about one address on one link: announce it, stand by, or nothing. A pure machine: time comes in as
 * an argument, in milliseconds of a clock that never jumps, and all it does goes out through `DutyEffects`.
 *
 * Whoever announces goes on as long as it may, whatever its rank: each move costs clients their connections. Ranks
 * decide who begins, who follows, and who gives way when two find that they both announce.
 */
export class Duty {
  readonly #address: Ip;
  readonly #self: string;
  readonly #effects: DutyEffects;
  #view: View | undefined;
  #state: State = { name: 'idle' };

  constructor(address: Ip, self: string, effects: DutyEffects) {
    this.#address = address;
    this.#self = self;
    this.#effects = effects;
  }

  get state(): State['name'] {
    return this.#state.name;
  }

  /** The link-layer address of the one who has the address, where it is somebody else and known. */
  get holder(): string | undefined {
    if (this.#state.name === 'refused') return this.#state.mac;
    return this.#state.name === 'standby' ? this.#state.holder : undefined;
  }

  /** When `tick` has something to do next. */
  get dueAt(): number {
    const state = this.#state;
    if (state.name === 'idle') return Number.POSITIVE_INFINITY;
    if (state.name === 'checking') return state.nextAt;
    if (state.name === 'standby') return Math.min(state.takeAt ?? Number.POSITIVE_INFINITY, state.nextPollAt);
    if (state.name === 'refused') return state.since + timing.recheckAfter;
    return state.rival === undefined ? state.nextAt : Math.min(state.nextAt, state.announcedAt + timing.disputeEvery);
  }

  /** The view has changed; `undefined`: this node may not announce the address. */
  setView(view: View | undefined, now: number): void {
    this.#view = view;
    if (view === undefined) this.stop();
    else if (this.#state.name === 'idle') {
      if (view.rank === 1) this.#check(now);
      else this.#standBy(undefined, now);
    }
  }

  /** Lets the address go, so that the next one takes it at once. */
  stop(): void {
    const held = this.#state.name === 'holding';
    this.#state = { name: 'idle' };
    // From the one who had it, a question for the address says that this is over. Twice, as a frame can get lost.
    if (held) for (let i = 0; i < 2; i++) this.#effects.probe(undefined);
  }

  /** A packet about the address has come. */
  heard(heard: Heard, now: number): void {
    if (heard.kind === 'claim') this.#claimed(heard.mac, now);
    else if (this.#state.name === 'holding') this.#effects.answer(heard);
    else if (this.#state.name === 'standby' && heard.probe && heard.mac === this.#state.holder) {
      this.#state.holder = undefined;
      this.#state.takeAt = now + ((this.#view?.rank ?? 1) - 1) * timing.successionStep;
    }
  }

  /** Does what is due. */
  tick(now: number): void {
    const view = this.#view;
    if (view === undefined || now < this.dueAt) return;
    const state = this.#state;
    if (state.name === 'checking') this.#tickChecking(state, now);
    else if (state.name === 'standby') this.#tickStandby(state, view, now);
    else if (state.name === 'holding') this.#tickHolding(state, view, now);
    else this.#check(now);
  }

  #check(now: number): void {
    this.#state = { name: 'checking', sent: 0, nextAt: now };
  }

  #standBy(holder: string | undefined, now: number): void {
    this.#state = {
      name: 'standby',
      holder,
      heardAt: now,
      unanswered: 0,
      nextPollAt: now,
      takeAt: undefined,
      illegitimateSince: undefined,
    };
  }

  #hold(now: number): void {
    this.#state = {
      name: 'holding',
      announcements: 0,
      nextAt: now,
      announcedAt: now,
      rival: undefined,
      defendedAt: Number.NEGATIVE_INFINITY,
    };
    this.#announce(this.#state, now);
    this.#effects.assigned();
  }

  #announce(state: Extract<State, { name: 'holding' }>, now: number): void {
    this.#effects.announce();
    state.announcedAt = now;
    state.nextAt = now + (timing.firstAnnouncements[state.announcements++] ?? timing.announceEvery);
  }

  #tickChecking(state: Extract<State, { name: 'checking' }>, now: number): void {
    if (state.sent === timing.probes) {
      this.#hold(now);
      return;
    }
    this.#effects.probe(undefined);
    state.sent++;
    state.nextAt = now + timing.probeEvery;
  }

  #tickStandby(state: Extract<State, { name: 'standby' }>, view: View, now: number): void {
    if (state.takeAt !== undefined && now >= state.takeAt) {
      this.#hold(now);
      return;
    }
    if (now < state.nextPollAt) return;
    state.nextPollAt = now + timing.pollEvery;
    if (state.holder !== undefined && this.#judge(state, state.holder, now)) return;
    const polls = view.rank <= timing.pollers;
    const patience = (polls ? timing.silence : timing.passiveSilence) + view.rank * timing.perRank;
    const isSilent = now - state.heardAt >= patience;
    // Questions that nobody answered are as good as a check; who only listened has to ask first.
    if (isSilent && !polls) this.#check(now);
    else if (isSilent && state.unanswered >= timing.probes) this.#hold(now);
    else if (polls) {
      // After the first question without answer all are asked: the address may have moved unheard.
      this.#effects.probe(state.unanswered > 0 ? undefined : state.holder);
      state.unanswered++;
    }
  }

  /** Whether it matters here who the holder is, and something was done about it. */
  #judge(state: Extract<State, { name: 'standby' }>, holder: string, now: number): boolean {
    const view = this.#view;
    const station = this.#effects.station(holder);
    // Only the first in rank acts on what it thinks of the holder.
    if (view?.rank !== 1 || station === 'unknown') return false;
    if (station === 'stranger') {
      // One that says nothing any more was perhaps a node, which has died before it could say so.
      if (state.unanswered > 1) return false;
      this.#state = { name: 'refused', mac: holder, since: now };
      this.#effects.inUse(holder);
      return true;
    }
    if (!view.isCurrent || view.candidates.includes(station.node)) {
      state.illegitimateSince = undefined;
      return false;
    }
    state.illegitimateSince ??= now;
    if (now - state.illegitimateSince < timing.challengeAfter) return false;
    this.#hold(now);
    return true;
  }

  #claimed(mac: string, now: number): void {
    const state = this.#state;
    // To know in time who it is, if that should come to matter.
    if (state.name !== 'idle') this.#effects.station(mac);
    if (state.name === 'checking') this.#standBy(mac, now);
    else if (state.name === 'standby') {
      if (state.holder !== mac) state.illegitimateSince = undefined;
      state.holder = mac;
      state.heardAt = now;
      state.unanswered = 0;
      state.takeAt = undefined;
    } else if (state.name === 'holding') {
      state.rival = mac;
      const view = this.#view;
      if (view !== undefined) this.#dispute(state, view, now);
    }
  }

  #tickHolding(state: Extract<State, { name: 'holding' }>, view: View, now: number): void {
    if (state.rival !== undefined) this.#dispute(state, view, now);
    if (this.#state === state && now >= state.nextAt) this.#announce(state, now);
  }

  /** Two claim the address. Of two nodes the one that is wanted less gives way, or the one that may not know better. */
  #dispute(state: Extract<State, { name: 'holding' }>, view: View, now: number): void {
    const { rival } = state;
    if (rival === undefined) return;
    const station = this.#effects.station(rival);
    if (station === 'stranger') this.#defend(state, rival, now);
    if (station === 'stranger' || station === 'unknown') return;
    const mayHave = view.candidates.includes(station.node);
    if (!view.isCurrent || (mayHave && outranks(station.node, this.#self, this.#address))) this.#standBy(rival, now);
    else if (now - state.announcedAt >= timing.disputeEvery) {
      state.rival = undefined;
      this.#announce(state, now);
    }
  }

  #defend(state: Extract<State, { name: 'holding' }>, rival: string, now: number): void {
    state.rival = undefined;
    if (now - state.defendedAt < timing.defendEvery) return;
    state.defendedAt = now;
    this.#announce(state, now);
    this.#effects.conflict(rival);
  }
}
