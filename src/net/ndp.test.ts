import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ipFromBytes, parseIp } from './ip.ts';
import { formatMac } from './mac.ts';
import { encodeNdp, groupMac, type NdpPacket, parseNdp, solicitedNodeGroup } from './ndp.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const [macs, ips] = [bytes(6).map(formatMac), bytes(16).map(ipFromBytes)];
const ends = { source: ips, destination: ips, target: ips };
const options = { requiredKeys: ['kind', 'source', 'destination', 'target', 'solicited', 'override'] } as const;
const packets: fc.Arbitrary<NdpPacket> = fc.oneof(
  fc.record(
    { kind: fc.constant('solicitation' as const), ...ends, mac: macs },
    { requiredKeys: ['kind', 'source', 'destination', 'target'] },
  ),
  fc.record(
    {
      kind: fc.constant('advertisement' as const),
      ...ends,
      solicited: fc.boolean(),
      override: fc.boolean(),
      mac: macs,
    },
    { requiredKeys: [...options.requiredKeys] },
  ),
);

describe('parseNdp', () => {
  test('reads what encodeNdp writes, and nothing of it when a bit is wrong in what the checksum covers', () => {
    fc.assert(
      fc.property(packets, macs, fc.nat(), (packet, mac, at) => {
        const frame = encodeNdp(packet, { from: mac, to: mac });
        expect(parseNdp(frame)).toEqual(packet);
        const place = 22 + (at % (frame.length - 22));
        frame[place] = (frame[place] ?? 0) ^ 1;
        expect(parseNdp(frame)).toBeUndefined();
      }),
    );
  });

  test('never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (frame) => {
        expect(parseNdp(frame)).toBeUndefined();
      }),
    );
  });
});

describe('solicitedNodeGroup', () => {
  test('is that of RFC 4291, with the link-layer address of RFC 2464', () => {
    const group = solicitedNodeGroup(parseIp('4037::1:800:200e:8c6c'));
    expect(group).toBe('ff02::1:ff0e:8c6c');
    expect(groupMac(group)).toBe('33:33:ff:0e:8c:6c');
  });
});
