import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../net/cidr.ts';
import { allocatePodCidrs, takenPodCidrs } from './pod-cidr.ts';

const network = (text: string, nodePrefix: number) => ({ cidr: parseCidr(text), nodePrefix });
const pods = network('10.244.0.0/16', 24);
const allocate = (name: string, ...taken: string[]) => allocatePodCidrs(name, [pods], new Set(taken));

describe('allocatePodCidrs', () => {
  test('allocatePodCidrs follows the number in the name, else the first free one from 1', () => {
    expect(allocate('node-7')).toEqual(['10.244.7.0/24']);
    expect(allocate('node-7', '10.244.7.0/24')).toEqual(['10.244.1.0/24']);
    expect(allocate('laptop', '10.244.1.0/24')).toEqual(['10.244.2.0/24']);
    expect(allocate('node-4711')).toEqual(['10.244.1.0/24']);
  });

  test('allocatePodCidrs gives one part of each network', () => {
    expect(allocatePodCidrs('node-2', [pods, network('fd00:244::/48', 64)], new Set())).toEqual([
      '10.244.2.0/24',
      'fd00:244:0:2::/64',
    ]);
  });

  test('allocatePodCidrs gives every part once, the first last, and then says that there is none', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ maxLength: 5 }), { minLength: 8, maxLength: 8 }), (names) => {
        const small = network('10.0.0.0/24', 27);
        const taken = new Set<string>();
        for (const name of names) for (const cidr of allocatePodCidrs(name, [small], taken)) taken.add(cidr);
        expect(taken.size).toBe(8);
        expect(() => allocatePodCidrs('one-more', [small], taken)).toThrow(/has no \/27 left for node one-more/);
      }),
      { numRuns: 50 },
    );
  });
});

test('takenPodCidrs reads both fields, in canonical form', () => {
  const stored = { name: 'n', uid: 'n', resourceVersion: '1' };
  const nodes = [
    { metadata: stored, spec: { podCIDR: '10.244.1.7/24' } },
    { metadata: stored, spec: { podCIDRs: ['fd00:0::/64'] } },
    { metadata: stored },
  ];
  expect([...takenPodCidrs(nodes)]).toEqual(['10.244.1.0/24', 'fd00::/64']);
});
