import { type Answer, encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { name } from '../testing/objects.ts';
import { a, soa } from '../testing/servers.ts';
import { recordType } from './constants.ts';
import { formatName, type Name } from './name.ts';
import { detachRecord, negativeTtl, readResponse } from './response.ts';

const question = { name: 'example.com', type: 'A' } as const;

function message(packet: Packet = {}): Buffer {
  return encode({ type: 'response', id: 5, questions: [question], ...packet });
}

/** A message with compression, which the reference implementation does not write: `example.com MX 5 mail.example.com`. */
const compressed = Buffer.concat([
  Buffer.from('000581800001000100000001', 'hex'),
  Buffer.from('\x07Example\x03com\0\x00\x0f\x00\x01', 'latin1'),
  Buffer.from('\xc0\x0c\x00\x0f\x00\x01\0\0\0\x3c\x00\x09\x00\x05\x04mail\xc0\x0c', 'latin1'),
  Buffer.from('\xc0\x2b\x00\x01\x00\x01\0\0\0\x3c\x00\x04\xc0\x00\x02\x09', 'latin1'),
]);

describe('readResponse', () => {
  test('reads what the reference implementation writes', () => {
    const answers: Answer[] = [a('example.com', '192.0.2.1', 7)];
    const response = readResponse(
      message({ answers, authorities: [soa('com', 9)], additionals: [a('x.com', '192.0.2.2')] }),
    );
    expect(response).toMatchObject({ id: 5, rcode: 0, question: { name: name('example.com'), type: 1, class: 1 } });
    expect(response?.answer).toMatchObject([{ owner: name('example.com'), type: recordType.A, ttl: 7 }]);
    expect(response?.authority).toMatchObject([{ owner: name('com'), type: recordType.SOA }]);
    expect(response?.additional).toMatchObject([{ owner: name('x.com') }]);
  });

  test('ends before OPT and what follows it', () => {
    const opt = { type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0, options: [] } as never;
    const response = readResponse(
      message({ answers: [a('example.com', '192.0.2.1')], additionals: [opt, a('x.com', '192.0.2.2')] }),
    );
    expect(response?.answer).toHaveLength(1);
    expect(response?.additional).toEqual([]);
  });

  test.each([
    ['a query', encode({ type: 'query', questions: [question] })],
    ['no question', encode({ type: 'response' })],
    ['a cut record', message({ answers: [a('example.com', '192.0.2.1')] }).subarray(0, -1)],
    ['fewer records than said', Buffer.from(message()).fill(1, 7, 8)],
    ['less than a header', message().subarray(0, 11)],
  ])('refuses %s', (_what, octets) => expect(readResponse(octets)).toBeUndefined());

  test('never throws, nor do those who read on', () => {
    const whole = Buffer.from(compressed);
    const mutation = fc.array(fc.tuple(fc.nat(whole.length), fc.nat(255)), { maxLength: 5 });
    fc.assert(
      fc.property(mutation, fc.integer({ min: 0, max: whole.length }), (changes, length) => {
        const mutated = Buffer.from(whole.subarray(0, length));
        for (const [at, value] of changes) if (at < mutated.length) mutated[at] = value;
        const response = readResponse(mutated);
        if (response === undefined) return;
        negativeTtl(response);
        for (const record of [...response.answer, ...response.authority, ...response.additional]) {
          expect(record.dataEnd).toBeLessThanOrEqual(mutated.length);
          detachRecord(mutated, record);
        }
      }),
      { numRuns: 3000 },
    );
  });
});

describe('detachRecord', () => {
  test('writes names in the data out', () => {
    const response = readResponse(compressed);
    const [mx] = response?.answer ?? [];
    const detached = mx && detachRecord(compressed, mx);
    expect(detached?.rdata.slice(0, 2)).toBe('\0\x05');
    expect(formatName(detached?.rdata.slice(2) as Name)).toBe('mail.example.com.');
    expect(formatName(response?.additional[0]?.owner as Name)).toBe('mail.example.com.');
  });

  test('keeps the data of other types as they are', () => {
    const answers: Answer[] = [{ type: 'TXT', name: 'example.com', data: 'hello', ttl: 1 }];
    const octets = message({ answers });
    const [txt] = readResponse(octets)?.answer ?? [];
    expect(txt && detachRecord(octets, txt)?.rdata).toBe('\x05hello');
  });
});

describe('negativeTtl', () => {
  test.each([
    [9, 3600, 9],
    [3600, 9, 9],
  ])('is the lesser of the minimum %i and the life %i', (minimum, ttl, expected) => {
    const response = readResponse(message({ authorities: [{ ...soa('com', minimum), ttl } as Answer] }));
    expect(response && negativeTtl(response)).toBe(expected);
  });

  test('is unknown without SOA', () => {
    const response = readResponse(message());
    expect(response && negativeTtl(response)).toBeUndefined();
  });
});
