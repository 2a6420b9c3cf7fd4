import { encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { flag, rcode, recordType } from './constants.ts';
import { joinName, parseName } from './name.ts';
import { parseQuery } from './query.ts';

const question = { type: 'A', name: 'Hello.default.svc.cluster.local' } as const;
const opt = (rest: object = {}) =>
  ({
    type: 'OPT',
    name: '.',
    udpPayloadSize: 1232,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    options: [],
    ...rest,
  }) as never;

function packet(rest: Packet = {}): Buffer {
  return encode({ type: 'query', id: 7, flags: flag.RD, questions: [question], ...rest });
}

/** The end of a question: the root, type A, class IN. */
const tail = Buffer.from([0, 0, 1, 0, 1]);

/** The packet with one octet set. */
function patched(at: number, value: number, base = packet()): Buffer {
  const copy = Buffer.from(base);
  copy[at] = value;
  return copy;
}

describe('parseQuery', () => {
  test('reads id, flags and question, the name without case', () => {
    expect(parseQuery(packet())).toEqual({
      id: 7,
      flags: flag.RD,
      name: parseName('hello.default.svc.cluster.local'),
      type: recordType.A,
      class: 1,
      questionEnd: packet().length,
      edns: undefined,
      problem: undefined,
    });
  });

  test('reads what the reference implementation writes', () => {
    const label = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
    const types = fc.constantFrom('A', 'AAAA', 'SRV', 'PTR', 'TXT', 'SOA', 'NS', 'MX', 'CNAME');
    fc.assert(
      fc.property(fc.array(label, { minLength: 1, maxLength: 8 }), types, fc.nat(65535), (labels, type, id) => {
        const query = parseQuery(packet({ id, questions: [{ name: labels.join('.'), type }] }));
        expect(query).toMatchObject({ id, name: joinName(labels), problem: undefined });
        expect(Object.entries(recordType)).toContainEqual([type, query?.type]);
      }),
    );
  });

  test('reads the OPT record', () => {
    expect(parseQuery(packet({ additionals: [opt({ flags: 0x8000 })] }))?.edns).toEqual({
      udpSize: 1232,
      version: 0,
      dnssecOk: true,
    });
  });

  test('takes a cookie and other options for what they are: nothing to us', () => {
    const cookie = { code: 10, data: Buffer.from('0123456789abcdef', 'hex') };
    expect(parseQuery(packet({ additionals: [opt({ options: [cookie] })] }))).toMatchObject({ problem: undefined });
  });

  test('lifts an offered size below 512', () => {
    expect(parseQuery(packet({ additionals: [opt({ udpPayloadSize: 100 })] }))?.edns?.udpSize).toBe(512);
  });

  test('passes over another record beside the OPT record', () => {
    const additionals = [{ type: 'TXT', name: 'x', data: 'y' } as never, opt()];
    expect(parseQuery(packet({ additionals }))?.edns?.udpSize).toBe(1232);
  });

  test.each([
    ['another opcode', patched(2, 0x28), rcode.NOTIMP],
    ['no question', patched(5, 0), rcode.FORMERR],
    ['two questions', patched(5, 2), rcode.FORMERR],
    ['an answer in the question', patched(7, 1), rcode.FORMERR],
    ['more additional records than said', patched(11, 1), rcode.FORMERR],
    ['a label past the end', patched(12, 63), rcode.FORMERR],
    ['a compressed question', patched(12, 0xc0), rcode.FORMERR],
    [
      'a label of 64 octets',
      Buffer.concat([patched(12, 64).subarray(0, 13), Buffer.alloc(64, 'a'), tail]),
      rcode.FORMERR,
    ],
    ['no type and class', packet().subarray(0, -4), rcode.FORMERR],
    ['a cut name', packet().subarray(0, 20), rcode.FORMERR],
    ['a header alone', packet().subarray(0, 12), rcode.FORMERR],
    ['two OPT records', packet({ additionals: [opt(), opt()] }), rcode.FORMERR],
    ['a cut OPT record', packet({ additionals: [opt()] }).subarray(0, -3), rcode.FORMERR],
    ['an EDNS version of the future', packet({ additionals: [opt({ ednsVersion: 1 })] }), rcode.BADVERS],
  ])('finds the problem in %s', (_what, octets, problem) => {
    expect(parseQuery(octets)?.problem).toBe(problem);
  });

  test.each([
    ['nothing', Buffer.alloc(0)],
    ['less than a header', packet().subarray(0, 11)],
    ['an answer', patched(2, 0x81)],
  ])('says nothing to %s', (_what, octets) => expect(parseQuery(octets)).toBeUndefined());

  test('refuses a name of more than 255 octets', () => {
    const long = Buffer.concat([
      Buffer.from(packet().subarray(0, 12)),
      Buffer.from(`${'\x3faaaaaaa'.padEnd(64, 'b').repeat(4)}\0\0\x01\0\x01`, 'latin1'),
    ]);
    expect(parseQuery(long)?.problem).toBe(rcode.FORMERR);
  });

  test('never throws, and never points outside the packet', () => {
    const mutation = fc.array(fc.tuple(fc.nat(80), fc.nat(255)), { maxLength: 6 });
    const base = packet({ additionals: [opt()] });
    fc.assert(
      fc.property(mutation, fc.nat(base.length), (changes, length) => {
        const mutated = Buffer.from(base.subarray(0, length));
        for (const [at, value] of changes) if (at < mutated.length) mutated[at] = value;
        const query = parseQuery(mutated);
        if (query === undefined) return;
        expect(query.questionEnd).toBeLessThanOrEqual(mutated.length);
        expect(query.name.length).toBeLessThanOrEqual(255);
      }),
      { numRuns: 3000 },
    );
  });
});
