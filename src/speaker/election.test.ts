import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ipFromBytes, parseIp } from '../net/ip.ts';
import { type Claim, rankNodes } from './election.ts';

const addresses = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(ipFromBytes);
const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,6}$/), { minLength: 1, maxLength: 8 });
const everywhere: Claim[] = [{ service: 'default/web' }];
const nodesOf = (list: readonly string[]) => list.map((name) => ({ name, eligible: true, addresses: [] }));

describe('rankNodes', () => {
  test('a leaving node moves only its own addresses, whatever the order of nodes', () => {
    fc.assert(
      fc.property(addresses, names, fc.nat(), (address, list, pick) => {
        const leaving = list[pick % list.length];
        const before = rankNodes(address, everywhere, nodesOf(list));
        const after = rankNodes(address, everywhere, nodesOf(list.toReversed().filter((name) => name !== leaving)));
        expect(after).toEqual(before.filter((name) => name !== leaving));
      }),
    );
  });

  test('addresses spread over the nodes', () => {
    const nodes = nodesOf(['node-1', 'node-2', 'node-3']);
    const firsts = Array.from({ length: 240 }, (_, i) => rankNodes(parseIp(`192.0.2.${i}`), everywhere, nodes)[0]);
    for (const { name } of nodes) expect(firsts.filter((each) => each === name).length).toBeGreaterThan(50);
  });

  test('leaves out nodes that are not eligible, and under Local those without endpoints', () => {
    const nodes = [...nodesOf(['a', 'b', 'c']), { name: 'd', eligible: false, addresses: [] }];
    const on = (...list: string[]): Claim => ({ service: 'default/web', onlyOn: new Set(list) });
    const rank = (...claims: Claim[]) => rankNodes(parseIp('192.0.2.1'), claims, nodes).sort();
    expect(rank(...everywhere)).toEqual(['a', 'b', 'c']);
    expect(rank(on('b', 'd'))).toEqual(['b']);
    expect(rank(on())).toEqual([]);
    // Shared: those that serve the most.
    expect(rank(on('a', 'b'), on('b', 'c'), ...everywhere)).toEqual(['b']);
    expect(rank(on('a'), on('b'))).toEqual(['a', 'b']);
  });
});
