import { decode, encode } from 'dns-packet';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import { line, lines } from '../testing/ask.ts';
import { name } from '../testing/objects.ts';
import { recordType } from './constants.ts';
import { parseQuery, type Query } from './query.ts';
import { addressRdata, nameRdata, soaRdata, srvRdata, textRdata } from './rdata.ts';
import { questionOffset, type RecordBody, ReplyWriter } from './reply-writer.ts';
import { readResponse } from './response.ts';

const packet = encode({ type: 'query', id: 3, questions: [{ name: 'Q.Example.com', type: 'A' }] });
const query = parseQuery(packet) as Query;

function written(limit: number, write: (writer: ReplyWriter) => void): Buffer {
  const writer = new ReplyWriter(1232);
  writer.begin(packet, query, limit);
  write(writer);
  return writer.finish(0);
}

const address = (ip: string): RecordBody => ({ type: recordType.A, ttl: 9, rdata: addressRdata(parseIp(ip)) });

describe('ReplyWriter', () => {
  test('writes what the reference implementation reads, for each type', () => {
    const bodies: [RecordBody, string][] = [
      [address('192.0.2.1'), 'A 192.0.2.1'],
      [{ type: recordType.AAAA, ttl: 9, rdata: addressRdata(parseIp('2001:db8::1')) }, 'AAAA 2001:db8::1'],
      [{ type: recordType.CNAME, ttl: 9, rdata: nameRdata(name('a.b')) }, 'CNAME a.b'],
      [{ type: recordType.NS, ttl: 9, rdata: nameRdata(name('ns.b')) }, 'NS ns.b'],
      [{ type: recordType.PTR, ttl: 9, rdata: nameRdata(name('p.b')) }, 'PTR p.b'],
      [{ type: recordType.TXT, ttl: 9, rdata: textRdata('hello') }, 'TXT hello'],
      [
        {
          type: recordType.SRV,
          ttl: 9,
          rdata: srvRdata({ priority: 1, weight: 2, port: 65_535, target: name('t.b') }),
        },
        'SRV 1 2 65535 t.b',
      ],
    ];
    const reply = decode(
      written(512, (writer) => {
        for (const [body] of bodies) writer.record('answer', questionOffset, body);
      }),
    );
    expect(lines(reply.answers)).toEqual(bodies.map(([, text]) => `Q.Example.com ${text}`).sort());
    expect(reply.answers?.every((record) => (record as { ttl: number }).ttl === 9)).toBe(true);
  });

  test('writes SOA numbers of 32 bits', () => {
    const numbers = { serial: 0xffff_fffe, refresh: 1, retry: 2, expire: 3, minimum: 4 };
    const rdata = soaRdata({ primary: name('ns.b'), mailbox: name('admin.b'), ...numbers });
    const reply = decode(written(512, (writer) => writer.record('authority', name('b'), { type: 6, ttl: 9, rdata })));
    expect(reply.authorities).toMatchObject([{ name: 'b', data: { mname: 'ns.b', rname: 'admin.b', ...numbers } }]);
  });

  test('never exceeds its limit, says when it left something out, and stays readable', () => {
    const owner = fc.constantFrom(questionOffset, name('long.owner.name.example.org'));
    const section = fc.constantFrom('answer' as const, 'authority' as const, 'additional' as const);
    fc.assert(
      fc.property(
        fc.integer({ min: 100, max: 600 }),
        fc.array(fc.tuple(section, owner), { maxLength: 40 }),
        (limit, all) => {
          const order = ['answer', 'authority', 'additional'];
          all.sort(([x], [y]) => order.indexOf(x) - order.indexOf(y));
          const reply = written(limit, (writer) => {
            for (const [where, at] of all) writer.record(where, at, address('192.0.2.1'));
          });
          expect(reply.length).toBeLessThanOrEqual(limit);
          const decoded = decode(reply);
          const counts = [decoded.answers?.length ?? 0, decoded.authorities?.length ?? 0];
          const wanted = order.map((one) => all.filter(([where]) => where === one).length);
          expect(decoded.flag_tc).toBe(counts[0] !== wanted[0] || counts[1] !== wanted[1]);
        },
      ),
    );
  });

  test('takes over as many records of another message as fit, the first ones', () => {
    const record = fc.record({
      name: fc.constantFrom('Q.Example.com', 'long.owner.name.example.org'),
      data: fc.ipV4(),
    });
    const section = fc.array(
      record.map((one) => ({ ...one, type: 'A' as const, ttl: 9 })),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(
        fc.integer({ min: 40, max: 900 }),
        section,
        section,
        section,
        (limit, answers, authorities, additionals) => {
          const all = { answers, authorities, additionals };
          const questions = [{ name: 'q.example.com', type: 'A' as const }];
          const response = readResponse(encode({ type: 'response', questions, ...all })) ?? expect.fail();
          const reply = written(limit, (writer) => writer.recordsOf(response.message, response));
          expect(reply.length).toBeLessThanOrEqual(limit);
          const { questions: asked, flag_tc, ...decoded } = decode(reply);
          expect(asked).toMatchObject([{ name: 'Q.Example.com' }]);
          const there = (['answers', 'authorities', 'additionals'] as const).flatMap((one) => decoded[one] ?? []);
          expect(there.map(line)).toEqual(
            [...answers, ...authorities, ...additionals].slice(0, there.length).map(line),
          );
          expect(flag_tc).toBe(there.length < answers.length + authorities.length);
        },
      ),
    );
  });

  test('does not point where pointers cannot', () => {
    const reply = written(65_535, (writer) => {
      while (writer.offset <= 0x4000) writer.record('answer', questionOffset, address('192.0.2.1'));
      expect(writer.record('answer', 0x4000, address('192.0.2.1'))).toBe(0);
    });
    expect(decode(reply).flag_tc).toBe(true);
  });
});
