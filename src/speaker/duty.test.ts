import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { Duty, type DutyEffects, type Heard, type Station } from './duty.ts';
import { rankNodes } from './election.ts';

const address = parseIp('192.0.2.240');
const noIp = parseIp('0.0.0.0');
const all = ['a', 'b', 'c', 'd', 'e'];

/** Nodes on a link that may be parted, with a clock of its own; a node's link-layer address is its name. */
class Link {
  now = 0;
  readonly alive = new Map<string, Duty>();
  readonly part = new Map<string, number>();
  readonly told: string[] = [];
  stranger = false;

  start(name: string): void {
    this.alive.set(name, new Duty(address, name, this.#effects(name)));
  }

  setEligible(names: readonly string[]): void {
    const facts = names.map((name) => ({ name, eligible: true, addresses: [] }));
    const candidates = rankNodes(address, [{ service: 'default/web' }], facts);
    for (const [name, duty] of this.alive) {
      const rank = candidates.indexOf(name) + 1;
      duty.setView(rank === 0 ? undefined : { rank, candidates, isCurrent: true }, this.now);
    }
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now += 10)
      for (const duty of this.alive.values()) duty.tick(this.now);
  }

  holders(): string[] {
    return [...this.alive].filter(([, duty]) => duty.state === 'holding').map(([name]) => name);
  }

  #deliver(from: string, to: string | undefined, heard: Heard): void {
    for (const [name, duty] of [...this.alive]) {
      if (name === from || (to !== undefined && name !== to)) continue;
      if ((this.part.get(name) ?? 0) === (this.part.get(from) ?? 0)) duty.heard(heard, this.now);
    }
  }

  #effects(name: string): DutyEffects {
    return {
      probe: (to) => {
        this.#deliver(name, to, { kind: 'question', mac: name, probe: true, ip: noIp });
        if (this.stranger) this.alive.get(name)?.heard({ kind: 'claim', mac: 'stranger' }, this.now);
      },
      announce: () => this.#deliver(name, undefined, { kind: 'claim', mac: name }),
      answer: ({ mac }) => this.#deliver(name, mac, { kind: 'claim', mac: name }),
      station: (mac): Station => (mac === 'stranger' ? 'stranger' : { node: mac }),
      assigned: () => this.told.push(`assigned ${name}`),
      inUse: (mac) => this.told.push(`in use by ${mac}`),
      conflict: (mac) => this.told.push(`conflict with ${mac}`),
    };
  }
}

function linkOf(names: readonly string[]): Link {
  const link = new Link();
  for (const name of names) link.start(name);
  link.setEligible(names);
  return link;
}

const ranked = rankNodes(
  address,
  [{ service: 'default/web' }],
  all.map((name) => ({ name, eligible: true, addresses: [] })),
);
const [first = '', second = ''] = ranked;

describe('Duty', () => {
  test('the node that is wanted most begins, within half a second', () => {
    const link = linkOf(all);
    link.run(500);
    expect([link.holders(), link.told]).toEqual([[first], [`assigned ${first}`]]);
  });

  test('the next takes over from one that dies, within a second and a half', () => {
    const link = linkOf(all);
    link.run(5_000);
    link.alive.delete(first);
    link.run(1_500);
    expect(link.holders()).toEqual([second]);
  });

  test('the next takes over from one that lets go, within 150 ms', () => {
    const link = linkOf(all);
    link.run(5_000);
    link.alive.get(first)?.stop();
    link.alive.delete(first);
    link.run(150);
    expect(link.holders()).toEqual([second]);
  });

  test('who has come back does not take it back', () => {
    const link = linkOf(all);
    link.run(5_000);
    link.alive.delete(first);
    link.run(5_000);
    link.start(first);
    link.setEligible(all);
    link.run(20_000);
    expect(link.holders()).toEqual([second]);
  });

  test('what a stranger has nobody announces, and one node says so', () => {
    const link = linkOf(all);
    link.stranger = true;
    link.run(5_000);
    expect([link.holders(), link.told]).toEqual([[], ['in use by stranger']]);
    link.stranger = false;
    link.run(15_000);
    expect(link.holders()).toHaveLength(1);
  });

  test('a stranger that claims what is announced is told of once in ten seconds, and answered', () => {
    const link = linkOf(all);
    link.run(5_000);
    for (let i = 0; i < 50; i++) {
      link.alive.get(first)?.heard({ kind: 'claim', mac: 'stranger' }, link.now);
      link.run(100);
    }
    expect(link.holders()).toEqual([first]);
    expect(link.told.filter((each) => each === 'conflict with stranger')).toHaveLength(1);
  });

  test('whatever dies, comes, is parted and joined: then exactly one announces', () => {
    const name = fc.constantFrom(...all);
    const step = fc.record({
      do: fc.oneof(
        fc.record({ kill: name }),
        fc.record({ start: name }),
        fc.record({ eligible: fc.subarray(all) }),
        fc.record({ move: name, to: fc.nat(1) }),
      ),
      wait: fc.integer({ min: 0, max: 4_000 }),
    });
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        const link = linkOf(all);
        let eligible: readonly string[] = all;
        for (const { do: what, wait } of steps) {
          if ('kill' in what) link.alive.delete(what.kill);
          else if ('start' in what) link.start(what.start);
          else if ('eligible' in what) eligible = what.eligible;
          else link.part.set(what.move, what.to);
          link.setEligible(eligible);
          link.run(wait);
        }
        link.part.clear();
        link.run(30_000);
        const may = [...link.alive.keys()].filter((each) => eligible.includes(each));
        expect(link.holders()).toHaveLength(Math.min(1, may.length));
        expect(may).toEqual(expect.arrayContaining(link.holders()));
      }),
      { numRuns: 50 },
    );
  });
});
