import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseCidr } from '../net/cidr.ts';
import type { Ip } from '../net/ip.ts';
import { gatewayOf, lowestFree, openIpam } from './ipam.ts';

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-ipam-'));
  file = join(folder, 'state/addresses.json');
});
afterEach(() => rmSync(folder, { recursive: true }));

const four = parseCidr('10.244.1.0/24');
const six = parseCidr('fd00:1::/64');

describe('openIpam', () => {
  it('openIpam gives the first Pod .2, the lowest free one after that, and the same Pod the same', () => {
    const ipam = openIpam([four, six], file);
    expect(ipam.assign('a')).toEqual(['10.244.1.2', 'fd00:1::2']);
    expect(ipam.assign('b')).toEqual(['10.244.1.3', 'fd00:1::3']);
    expect(ipam.assign('a')).toEqual(['10.244.1.2', 'fd00:1::2']);
    ipam.release('a');
    expect(ipam.assign('c')).toEqual(['10.244.1.2', 'fd00:1::2']);
  });

  it('openIpam gives addresses from the end of the blocks too, and never the broadcast address', () => {
    const ipam = openIpam([four, six], file);
    expect(ipam.assign('a', 'end')).toEqual(['10.244.1.254', 'fd00:1::ffff:ffff:ffff:ffff']);
    expect(ipam.assign('b', 'end')).toEqual(['10.244.1.253', 'fd00:1::ffff:ffff:ffff:fffe']);
    expect(ipam.assign('c')).toEqual(['10.244.1.2', 'fd00:1::2']);
  });

  it('openIpam finds the assignments of an earlier agent', () => {
    openIpam([four], file).assign('a');
    const again = openIpam([four], file);
    expect([...again.assignments]).toEqual([['a', ['10.244.1.2']]]);
    expect(again.assign('b')).toEqual(['10.244.1.3']);
  });

  it('openIpam drops what does not fit its blocks or cannot be read', () => {
    openIpam([four], file).assign('a');
    expect(openIpam([parseCidr('10.244.2.0/24')], file).assignments.size).toBe(0);
    expect(openIpam([four, six], file).assignments.size).toBe(0);
    writeFileSync(file, '{"x": ["10.244.1.1"], "y": "no", "z": ["10.244.1.9"]}');
    expect([...openIpam([four], file).assignments.keys()]).toEqual(['z']);
    writeFileSync(file, '{"x": [');
    expect(openIpam([four], file).assignments.size).toBe(0);
  });

  it('openIpam says when a block is used up, and goes on when an address is free again', () => {
    const ipam = openIpam([parseCidr('10.0.0.0/29')], file);
    const given = ['a', 'b', 'c', 'd', 'e'].map((uid) => ipam.assign(uid)[0]);
    expect(given).toEqual(['10.0.0.2', '10.0.0.3', '10.0.0.4', '10.0.0.5', '10.0.0.6']);
    expect(() => ipam.assign('f')).toThrow(/Pod network 10\.0\.0\.0\/29 has no free address, 5 are in use/);
    ipam.release('c');
    expect(ipam.assign('f')).toEqual(['10.0.0.4']);
  });

  it('openIpam never gives an address twice', () => {
    const step = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 12 }));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        rmSync(file, { force: true });
        const ipam = openIpam([parseCidr('10.0.0.0/28')], file);
        for (const [assign, pod] of steps) assign ? ipam.assign(`${pod}`) : ipam.release(`${pod}`);
        const all = [...ipam.assignments.values()].flat();
        return new Set(all).size === all.length && !all.includes(gatewayOf(parseCidr('10.0.0.0/28')));
      }),
      { numRuns: 30 },
    );
  });
});

describe('lowestFree', () => {
  it('lowestFree never gives network, bridge or broadcast address', () => {
    const taken = new Set<Ip>();
    const cidr = parseCidr('10.0.0.0/30');
    const first = lowestFree(cidr, taken);
    expect(first).toBe('10.0.0.2');
    if (first !== undefined) taken.add(first);
    expect(lowestFree(cidr, taken)).toBeUndefined();
  });
});
