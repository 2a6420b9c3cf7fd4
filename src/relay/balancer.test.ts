import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { Balancer, StickyClients } from './balancer.ts';
import type { RelayTarget } from './relay.ts';

const client = parseIp('192.0.2.1');
const endpoints = (count: number): RelayTarget[] =>
  Array.from({ length: count }, (_, i) => ({ ip: parseIp(`10.244.1.${i + 1}`), port: 8080 }));

function firstFor(balancer: Balancer, ip = client): RelayTarget | undefined {
  return balancer.candidates(ip).next().value ?? undefined;
}

describe('Balancer', () => {
  it('takes endpoints in turn', () => {
    const balancer = new Balancer();
    balancer.update(endpoints(3), undefined);
    const seen = Array.from({ length: 6 }, () => firstFor(balancer)?.ip);
    expect(seen).toEqual([1, 2, 3, 1, 2, 3].map((i) => `10.244.1.${i}`));
  });

  it('offers each endpoint once to one client, however many there are and wherever the turn is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 12 }), fc.integer({ min: 0, max: 30 }), (count, turns) => {
        const balancer = new Balancer();
        balancer.update(endpoints(count), undefined);
        for (let i = 0; i < turns; i++) firstFor(balancer);
        const offered = [...balancer.candidates(client)].map(({ ip }) => ip);
        expect(offered.sort()).toEqual(
          endpoints(count)
            .map(({ ip }) => ip)
            .sort(),
        );
      }),
    );
  });

  it('goes on with the turn where endpoints were taken away', () => {
    const balancer = new Balancer();
    balancer.update(endpoints(3), undefined);
    for (let i = 0; i < 5; i++) firstFor(balancer);
    balancer.update(endpoints(1), undefined);
    expect(firstFor(balancer)?.ip).toBe('10.244.1.1');
  });

  it('keeps a client with its endpoint until the time-out, counted from its last connection', () => {
    let now = 0;
    const balancer = new Balancer();
    balancer.update(endpoints(3), new StickyClients(10, () => now));
    const first = firstFor(balancer);
    if (first === undefined) throw new Error('no endpoint');
    balancer.taken(client, first);
    now = 9_000;
    expect(firstFor(balancer)).toEqual(first);
    balancer.taken(client, first);
    now = 18_000;
    expect(firstFor(balancer)).toEqual(first);
    now = 28_001;
    expect(firstFor(balancer)).not.toEqual(first);
  });

  it('has connections that a client opens at the same time go the same way, also past who does not answer', () => {
    const balancer = new Balancer();
    balancer.update(endpoints(4), new StickyClients(10, () => 0));
    const [one, other] = [balancer.candidates(client), balancer.candidates(client)];
    for (let tries = 0; tries < 3; tries++) {
      const wanted = one.next().value;
      expect(wanted).toBeDefined();
      expect(other.next().value).toBe(wanted);
    }
    expect(firstFor(balancer, parseIp('192.0.2.2'))?.ip).toBe('10.244.1.4');
  });

  it('offers the others behind the one a client is to stay with, and lets a gone one go', () => {
    const balancer = new Balancer();
    const sticky = new StickyClients(10, () => 0);
    const [first, second, third] = endpoints(3);
    if (first === undefined || second === undefined || third === undefined) throw new Error('too few');
    balancer.update([first, second, third], sticky);
    balancer.taken(client, second);
    expect(firstFor(balancer)).toBe(second);
    const offered = [...balancer.candidates(client)];
    expect(offered[0]).toBe(second);
    expect(offered).toHaveLength(3);
    balancer.update([first, third], sticky);
    expect([...balancer.candidates(client)].map(({ ip }) => ip).sort()).toEqual([first.ip, third.ip]);
    expect(balancer.has(second)).toBe(false);
  });
});

describe('StickyClients', () => {
  it('remembers no more than its bound, and forgets who was away longest', () => {
    const sticky = new StickyClients(100, () => 0);
    const ip = (i: number) => parseIp(`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`);
    for (let i = 0; i < 65_536; i++) sticky.note(ip(i), 'a');
    sticky.note(ip(0), 'b');
    sticky.note(ip(65_536), 'a');
    expect(sticky.endpointOf(ip(0))).toBe('b');
    expect(sticky.endpointOf(ip(1))).toBeUndefined();
    expect(sticky.endpointOf(ip(2))).toBe('a');
  });
});
