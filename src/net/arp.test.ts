import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type ArpOperation, encodeArp, parseArp } from './arp.ts';
import { ipFromBytes } from './ip.ts';
import { formatMac } from './mac.ts';

const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
const macs = bytes(6).map(formatMac);
const operations = fc.constantFrom<ArpOperation[]>('request', 'reply', 'inverse-request', 'inverse-reply');

describe('parseArp', () => {
  test('reads what encodeArp writes, of both families', () => {
    const party = (length: number) => fc.record({ mac: macs, ip: bytes(length).map(ipFromBytes) });
    const packet = fc
      .constantFrom(4, 16)
      .chain((length) => fc.record({ operation: operations, sender: party(length), target: party(length) }));
    fc.assert(
      fc.property(packet, macs, (arp, to) => {
        const frame = encodeArp(arp, to);
        expect(frame.length).toBeGreaterThanOrEqual(60);
        expect(parseArp(frame)).toEqual(arp);
      }),
    );
  });

  test('gives nothing for frames that are something else, or cut short, and never throws', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (frame) => {
        expect(parseArp(frame)).toBeUndefined();
      }),
    );
    const sender = { mac: '02:00:00:00:00:01', ip: ipFromBytes(Uint8Array.of(10, 0, 0, 1)) };
    const whole = encodeArp({ operation: 'request', sender, target: sender }, 'ff:ff:ff:ff:ff:ff');
    for (let length = 0; length < 42; length++) expect(parseArp(whole.subarray(0, length))).toBeUndefined();
  });
});
