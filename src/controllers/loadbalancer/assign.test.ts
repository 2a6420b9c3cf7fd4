import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { familyOf, type Ip, type IpFamily, parseIp } from '../../net/ip.ts';
import { assign } from './assign.ts';
import { type AddressPool, addressesOf, hasAddress, overlapping, parseRange } from './pools.ts';
import { conflict, type Wish } from './wish.ts';

function pool(name: string, texts: readonly string[], more: Partial<AddressPool> = {}): AddressPool {
  return { name, ranges: texts.flatMap((text) => parseRange(text) ?? []), autoAssign: true, ...more };
}

const wish = (service: string, more: Partial<Wish> = {}): Wish => ({
  ...{ service, namespace: 'default', seniority: service, key: undefined, ports: ['TCP 80'], scope: 'Cluster' },
  ...{ families: ['IPv4'], needsAll: true, ips: [], unreadable: undefined, pool: undefined },
  ...more,
});

const small = pool('small', ['192.0.2.8-192.0.2.9', 'fd00::8/127']);
const team = pool('team', ['198.51.100.0/29'], { namespaces: ['team'] });
const asked = pool('asked', ['203.0.113.0/24'], { autoAssign: false });
const pools = [small, team, asked];
const nobody = { pools, holders: () => [], isForeign: () => false, current: [], namespaceLabels: undefined };
const heldBy =
  (...others: readonly Wish[]) =>
  () =>
    others;

describe('parseRange', () => {
  it.each([
    ['192.168.102.0/24', 254n, '192.168.102.1'],
    ['192.168.102.4/31', 2n, '192.168.102.4'],
    ['192.168.102.4/32', 1n, '192.168.102.4'],
    ['192.168.102.4', 1n, '192.168.102.4'],
    ['192.168.102.200 - 192.168.102.239', 40n, '192.168.102.200'],
    ['fd00::/120', 256n, 'fd00::'],
  ])('reads %s', (text, count, first) => {
    const range = parseRange(text);
    if (range === undefined) throw new Error('no range');
    expect(range.last - range.first + 1n).toBe(count);
    expect(addressesOf({ name: 'p', ranges: [range], autoAssign: true }, range.family).next().value).toBe(first);
  });

  it.each(['192.0.2.9-192.0.2.8', '192.0.2.1-fd00::1', '192.0.2.1-192.0.2.5-192.0.2.9'])('refuses %s', (text) => {
    expect(parseRange(text)).toBeUndefined();
  });
});

describe('overlapping', () => {
  it('names two pools that have an address in common', () => {
    expect(overlapping([...pools, pool('other', ['192.0.2.9/32'])])).toEqual(['small', 'other']);
    expect(overlapping(pools)).toBeUndefined();
  });
});

describe('assign', () => {
  it.each<[string, Partial<Wish>, readonly string[] | RegExp]>([
    ['the first free address', {}, ['192.0.2.8']],
    ['an address of each family', { families: ['IPv4', 'IPv6'] }, ['192.0.2.8', 'fd00::8']],
    ['a pool for its namespace before others', { namespace: 'team' }, ['198.51.100.1']],
    ['an address that is asked for', { ips: [parseIp('192.0.2.9')] }, ['192.0.2.9']],
    ['a pool that is asked for', { pool: 'asked' }, ['203.0.113.1']],
    ['an address of a pool that is given when asked for', { ips: [parseIp('203.0.113.7')] }, ['203.0.113.7']],
    [
      'the other family beside one that is asked for',
      { ips: [parseIp('fd00::9')], families: ['IPv4', 'IPv6'] },
      ['192.0.2.8', 'fd00::9'],
    ],
    [
      'what there is, of two families',
      { namespace: 'team', families: ['IPv4', 'IPv6'], needsAll: false, pool: 'team' },
      ['198.51.100.1'],
    ],
    [
      'nothing of a pool without the other family',
      { namespace: 'team', families: ['IPv4', 'IPv6'], pool: 'team' },
      /pool team has no free IPv6 address/,
    ],
    ['nothing of no pool', { pool: 'none' }, /^there is no pool none$/],
    ['nothing of a pool for others', { pool: 'team' }, /^pool team is not for namespace default$/],
    ['nothing outside of the pools', { ips: [parseIp('192.0.2.200')] }, /^192\.0\.2\.200 is in no pool/],
    ['nothing of a family that it does not have', { ips: [parseIp('fd00::8')] }, /^fd00::8 is of a family/],
  ])('gives %s', (_, more, expected) => {
    const result = assign(wish('default/a', more), nobody);
    if (expected instanceof RegExp) expect(result).toMatchObject({ problem: expect.stringMatching(expected) });
    else expect(result).toMatchObject({ ips: expected });
  });

  it('says who has what is asked for', () => {
    const ips = [parseIp('192.0.2.8')];
    expect(assign(wish('default/a', { ips }), { ...nobody, holders: heldBy(wish('x/b')) })).toEqual({
      ips: [],
      problem:
        '192.0.2.8 cannot be had: x/b has it, and the two do not share addresses by the same signalbox.dev/allow-shared-ip',
    });
    expect(assign(wish('default/a', { ips }), { ...nobody, isForeign: () => true })).toEqual({
      ips: [],
      problem: '192.0.2.8 cannot be had: somebody else on the network has it',
    });
  });

  it('lets Services share that want to and can', () => {
    const ips = [parseIp('192.0.2.8')];
    const other = wish('x/b', { key: 'k', ports: ['TCP 443'] });
    const of = (more: Partial<Wish>) =>
      assign(wish('default/a', { ips, key: 'k', ...more }), { ...nobody, holders: heldBy(other) });
    expect(of({})).toMatchObject({ ips });
    expect(of({ ports: ['UDP 443'] })).toMatchObject({ ips });
    expect(of({ ports: ['TCP 443'] })).toMatchObject({ problem: expect.stringContaining('x/b has its port TCP 443') });
    expect(of({ scope: 'Local default []' })).toMatchObject({ problem: expect.stringContaining('the same selector') });
    expect(of({ key: 'other' })).toMatchObject({ problem: expect.stringContaining('do not share') });
  });

  it('leaves a Service what it has, but for what an older one has, too', () => {
    const current = [parseIp('192.0.2.9')];
    expect(assign(wish('default/b'), { ...nobody, current })).toMatchObject({ ips: current });
    const holders = (ip: Ip) => (ip === current[0] ? [wish('default/a')] : []);
    expect(assign(wish('default/b'), { ...nobody, current, holders })).toMatchObject({ ips: ['192.0.2.8'] });
    const younger = (ip: Ip) => (ip === current[0] ? [wish('default/c')] : []);
    expect(assign(wish('default/b'), { ...nobody, current, holders: younger })).toMatchObject({ ips: current });
  });

  it.each<[string, Partial<Wish>, RegExp]>([
    ['an address of no pool', { ips: [parseIp('192.0.2.200')] }, /^192\.0\.2\.200 is in no pool/],
    ['an address of a family that it does not have', { ips: [parseIp('fd00::8')] }, /of a family/],
    ['a pool that is not there', { pool: 'none' }, /^there is no pool none$/],
    ['no address at all', { unreadable: 'x' }, /^"x" is no list of addresses/],
    ['another family that is not to be had', { families: ['IPv4', 'IPv6'], pool: 'team' }, /not for namespace default/],
  ])('leaves a Service what it has when it comes to ask for %s', (_, more, problem) => {
    const current = [parseIp('192.0.2.9')];
    const kept = { ips: current, pool: 'small', problem: expect.stringMatching(problem) };
    expect(assign(wish('default/b', more), { ...nobody, current })).toEqual(kept);
    expect(assign(wish('default/b', more), { ...nobody, current, isForeign: () => true })).toMatchObject({ ips: [] });
    const elder = { ...nobody, current, holders: heldBy(wish('default/a')) };
    expect(assign(wish('default/b', more), elder)).toMatchObject({ ips: [] });
  });

  it('takes a pool that has both families before one that has not, unless an address would change', () => {
    const single = pool('single', ['198.51.100.8-198.51.100.9']);
    const both = wish('default/a', { families: ['IPv4', 'IPv6'], needsAll: false });
    const of = { ...nobody, pools: [single, small] };
    expect(assign(both, of)).toMatchObject({ pool: 'small', ips: ['192.0.2.8', 'fd00::8'] });
    expect(assign(both, { ...of, current: [parseIp('198.51.100.9')] })).toEqual({
      pool: 'single',
      ips: ['198.51.100.9'],
    });
    expect(assign(both, { ...of, current: [parseIp('192.0.2.9')] })).toMatchObject({ ips: ['192.0.2.9', 'fd00::8'] });
  });

  it('gives of a pool for namespaces with a label to those alone, and to those that the pool names', () => {
    const labeled = pool('labeled', ['198.51.100.0/29'], {
      namespaces: ['named'],
      namespaceSelector: ({ team } = {}) => team === 'a',
    });
    const of = (namespace: string, team: string) =>
      assign(wish('x/a', { namespace }), { ...nobody, pools: [small, labeled], namespaceLabels: { team } }).pool;
    expect([of('default', 'a'), of('default', 'b'), of('named', 'b')]).toEqual(['labeled', 'small', 'labeled']);
  });

  it('never gives an address to two that may not share it, loses none, and refuses only what cannot be', () => {
    const families: readonly (readonly IpFamily[])[] = [['IPv4'], ['IPv6'], ['IPv4', 'IPv6']];
    const change: fc.Arbitrary<Change> = fc.record({
      service: fc.constantFrom('default/a', 'default/b', 'team/c', 'team/d', 'default/e'),
      gone: fc.boolean(),
      families: fc.constantFrom(...families),
      needsAll: fc.boolean(),
      key: fc.constantFrom(undefined, 'k', 'l'),
      ports: fc.constantFrom(['TCP 80'], ['TCP 443'], ['UDP 53', 'TCP 53']),
      scope: fc.constantFrom('Cluster', 'Local x'),
      ask: fc.constantFrom(undefined, '192.0.2.8', '192.0.2.9'),
    });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const model = new Model();
        for (const each of changes) model.apply(each);
        model.expectSound();
      }),
      { numRuns: 500 },
    );
  });
});

interface Change extends Pick<Wish, 'families' | 'needsAll' | 'key' | 'ports' | 'scope'> {
  readonly service: string;
  readonly gone: boolean;
  readonly ask: string | undefined;
}

/** Services with what they have, as the controller goes through them. */
class Model {
  readonly #all = new Map<string, { readonly wish: Wish; readonly ips: readonly Ip[] }>();

  apply({ service, gone, ask, ...more }: Change): void {
    const current = this.#all.get(service)?.ips ?? [];
    this.#all.delete(service);
    if (gone) return;
    const ips = ask === undefined || !more.families.includes('IPv4') ? [] : [parseIp(ask)];
    const asks = wish(service, { ...more, ips, namespace: service.split('/')[0] ?? '' });
    const result = assign(asks, { ...nobody, holders: (ip) => this.#holders(ip), current });
    const got = result.ips;
    if (got.length === 0) this.#expectUnservable(asks);
    else if (result.problem !== undefined) expect(current).toEqual(expect.arrayContaining([...got]));
    else if (asks.needsAll) expect(got.map(familyOf).sort()).toEqual([...asks.families].sort());
    for (const ip of got) {
      expect(pools.some((each) => hasAddress(each, ip))).toBe(true);
      this.#giveWay(asks, ip);
    }
    this.#all.set(service, { wish: asks, ips: got });
  }

  /** No two have an address that they may not share. */
  expectSound(): void {
    const given = [...this.#all.values()];
    for (const [i, one] of given.entries())
      for (const other of given.slice(i + 1))
        if (one.ips.some((ip) => other.ips.includes(ip))) expect(conflict(one.wish, other.wish)).toBeUndefined();
  }

  #holders(ip: Ip): Wish[] {
    return [...this.#all.values()].filter(({ ips }) => ips.includes(ip)).map((one) => one.wish);
  }

  /** As the controller does: who is younger is looked at again, and gets another. */
  #giveWay(asks: Wish, ip: Ip): void {
    for (const [key, { ips, wish: other }] of this.#all)
      if (ips.includes(ip) && conflict(asks, other) !== undefined) this.#all.delete(key);
  }

  #expectUnservable(asks: Wish): void {
    if (asks.ips.length > 0) return;
    const isTaken = (ip: Ip) => this.#holders(ip).some((one) => conflict(asks, one) !== undefined);
    const lacking = asks.families.filter((family) => [...addressesOf(small, family)].every(isTaken));
    expect(lacking).not.toEqual([]);
  }
}
