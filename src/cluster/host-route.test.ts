import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Cidr, cidrAddress, cidrContains, cidrSize, parseCidr } from '../net/cidr.ts';
import { findOverlap, hostDevice } from './host-route.ts';
import { pathsIn } from './state.ts';

/** Blocks of one small network, so that many of them overlap. */
const block = fc
  .tuple(fc.nat(255), fc.integer({ min: 24, max: 32 }))
  .map(([last, prefix]) => parseCidr(`192.0.2.${last}/${prefix}`));

function addresses(cidr: Cidr): string[] {
  return Array.from({ length: Number(cidrSize(cidr)) }, (_, i) => cidrAddress(cidr, i));
}

describe('findOverlap', () => {
  it('finds two blocks exactly if they have an address in common', () => {
    fc.assert(
      fc.property(block, block, (a, b) => {
        const shared = addresses(a).some((address) => addresses(b).includes(address));
        expect(findOverlap([a], [b])).toEqual(shared ? { cluster: a, host: b } : undefined);
      }),
    );
  });

  it('keeps families apart, and finds what is among others', () => {
    const cluster = ['10.96.0.0/12', 'fd00:10:96::/112'].map(parseCidr);
    const host = ['192.0.2.0/24', '::/1', '10.100.1.0/24'].map(parseCidr);
    expect(findOverlap(cluster, host.slice(0, 2))).toBeUndefined();
    const found = findOverlap(cluster, host);
    expect(found).toEqual({ cluster: cluster[0], host: host[2] });
    expect(found !== undefined && cidrContains(found.cluster, found.host.base)).toBe(true);
  });
});

describe('hostDevice', () => {
  it('is a name the kernel takes, another for another cluster', () => {
    const [a, b] = ['/home/one/clusters/default', '/home/two/clusters/default'].map((dir) => hostDevice(pathsIn(dir)));
    expect(a).toMatch(/^sbx-[0-9a-f]{8}$/);
    expect(a).not.toBe(b);
  });
});
