import { describe, expect, test } from 'vitest';
import { expectGolden } from '../../test/golden/golden.ts';
import { parseIp } from '../net/ip.ts';
import { printProgram } from '../rules/nftables/print.ts';
import type { Program } from '../rules/nftables/syntax.ts';
import { PacketWalker } from '../rules/nftables/walk.ts';
import type { Packet } from '../rules/packet.ts';
import type { Place } from './places.ts';
import { compileNotrack } from './program.ts';

const places: readonly Place[] = ['169.254.20.10', '10.96.0.10', 'fd00::10'].flatMap((ip) =>
  (['udp', 'tcp'] as const).map((protocol) => ({ ip: parseIp(ip), port: 53, protocol })),
);
const addresses = {
  IPv4: { served: '169.254.20.10', pod: '10.244.1.2', other: '192.0.2.1' },
  IPv6: { served: 'fd00::10', pod: 'fd00:244::2', other: '2001:db8::1' },
} as const;

describe('compileNotrack', () => {
  test.each([
    ['IPv4', 'node-local-ipv4'],
    ['IPv6', 'node-local-ipv6'],
  ] as const)('rules of %s', (family, name) => {
    expectGolden(`nftables/${name}.nft`, printProgram(compileNotrack(places, family) as Program));
  });

  test('has no rules for a family without addresses', () => {
    expect(compileNotrack(places.slice(0, 2), 'IPv6')).toBeUndefined();
  });

  describe.each(['IPv4', 'IPv6'] as const)('of %s', (family) => {
    const { served, pod, other } = addresses[family];
    const walker = new PacketWalker(compileNotrack(places, family) as Program, {
      isLocal: (ip) => ip === served,
      random: () => 0,
      chance: () => false,
      now: () => 0,
    });
    const isTracked = (packet: Partial<Packet>) => {
      const query = { from: 'network', protocol: 'udp', port: 53, sourcePort: 40_000 } as const;
      const { verdict, untracked } = walker.walk({
        ...query,
        source: parseIp(pod),
        destination: parseIp(served),
        ...packet,
      });
      expect(verdict).toBe('accept');
      return untracked !== true;
    };
    const answer = {
      from: 'node',
      source: parseIp(served),
      destination: parseIp(pod),
      sourcePort: 53,
      port: 40_000,
    } as const;

    test('queries and answers are not tracked, whoever asks', () => {
      for (const protocol of ['udp', 'tcp'] as const) {
        expect(isTracked({ protocol })).toBe(false);
        expect(isTracked({ protocol, ...answer })).toBe(false);
        expect(isTracked({ protocol, from: 'node', source: parseIp(served) })).toBe(false);
      }
    });

    test('other ports, protocols and addresses are', () => {
      expect(isTracked({ port: 8080 })).toBe(true);
      expect(isTracked({ protocol: 'sctp' })).toBe(true);
      expect(isTracked({ destination: parseIp(other) })).toBe(true);
      expect(isTracked({ ...answer, sourcePort: 8080 })).toBe(true);
      expect(isTracked({ from: 'node', source: parseIp(other), destination: parseIp(other) })).toBe(true);
    });
  });
});
