import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { describe, expect, it } from 'vitest';
import { ipFromBigInt, ipFromBytes, ipToBigInt, ipToBytes, isUnspecified, parseIp, tryParseIp } from './ip.ts';

describe('tryParseIp', () => {
  it.each(['0.0.0.0', '10.0.0.1', '255.255.255.255', '127.0.0.1'])('reads %s', (text) => {
    expect(tryParseIp(text)).toBe(text);
  });

  it.each([
    ...[
      '',
      '.',
      '...',
      '1.2.3',
      '1.2.3.',
      '.1.2.3',
      '1..2.3',
      '1.2.3.4.',
      '1.2.3.4.5',
      '256.0.0.1',
      '1.2.3.256',
      '1.2.3.1000',
    ],
    ...['01.2.3.4', '1.2.3.04', '00.0.0.0', '1.2.3.4 ', ' 1.2.3.4', '+1.2.3.4', '-1.2.3.4', '1.2.3.4\n', '0x1.2.3.4'],
    ...['1.2.3.4/8', '１.2.3.4', '16909060', 'fe80::1%eth0', '::g', ':', '1:2:3', '[::1]'],
  ])('refuses %j', (text) => {
    expect(tryParseIp(text)).toBeUndefined();
  });

  it('takes of digits and dots what the library takes as four decimal octets, without leading zeros', () => {
    const texts = fc.string({ unit: fc.constantFrom(...'0123459.'), maxLength: 16 });
    const nearly = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 3, maxLength: 5 }).map((o) => o.join('.'));
    fc.assert(
      fc.property(fc.oneof(texts, nearly), (text) => {
        const isPlain = text.split('.').every((octet) => octet === '0' || !octet.startsWith('0'));
        const expected = ipaddr.IPv4.isValidFourPartDecimal(text) && isPlain ? text : undefined;
        expect(tryParseIp(text)).toBe(expected);
      }),
    );
  });
});

describe('ipToBigInt', () => {
  it.each([
    ['0.0.0.0', 0n],
    ['10.96.0.1', 0x0a600001n],
    ['255.255.255.255', 0xffffffffn],
    ['fd00::1', 0xfd000000000000000000000000000001n],
  ] as const)('gives %s as a number', (text, value) => {
    expect(ipToBigInt(parseIp(text))).toBe(value);
  });

  it('is undone by ipFromBigInt, as ipToBytes is by ipFromBytes', () => {
    const four = fc.uint8Array({ minLength: 4, maxLength: 4 });
    const sixteen = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(fc.oneof(four, sixteen), (bytes) => {
        const ip = ipFromBytes(bytes);
        expect(tryParseIp(ip)).toBe(ip);
        expect(ipToBytes(ip)).toEqual(bytes);
        expect(ipToBigInt(ip)).toBe(bytes.reduce((n, byte) => (n << 8n) | BigInt(byte), 0n));
        expect(ipFromBigInt(ipToBigInt(ip), bytes.length === 4 ? 'IPv4' : 'IPv6')).toBe(ip);
      }),
    );
  });
});

describe('isUnspecified', () => {
  it.each(['0.0.0.0', '::', '0:0:0:0:0:0:0:0', '0::'])('%s means all', (text) => {
    expect(isUnspecified(parseIp(text))).toBe(true);
  });

  it.each(['0.0.0.1', '::1', '::ffff:0.0.0.0'])('%s does not', (text) => {
    expect(isUnspecified(parseIp(text))).toBe(false);
  });
});
