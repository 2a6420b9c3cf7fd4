import { type Answer, encode, type Packet } from 'dns-packet';
import { describe, expect, test } from 'vitest';
import { a, soa } from '../testing/servers.ts';
import { type Response, readResponse } from '../wire/response.ts';
import { AnswerCache } from './cache.ts';

let clock = 0;
const options = { entries: 3, bytes: 1 << 20, maxTtl: 30 };
const newCache = (rest: Partial<typeof options> = {}) => new AnswerCache({ ...options, ...rest }, () => clock);

function response(packet: Packet): Response {
  const question = { name: 'example.com', type: 'A' } as const;
  const read = readResponse(encode({ type: 'response', questions: [question], ...packet }));
  if (read === undefined) throw new Error('the test made no response');
  return read;
}

const answered = (...answers: Answer[]) => response({ answers });
const nxdomain = 3;

describe('AnswerCache', () => {
  test('keeps an answer for the shortest life in it, and says its age', () => {
    const cache = newCache();
    cache.set('k', answered(a('example.com', '192.0.2.1', 20), a('example.com', '192.0.2.2', 10)));
    clock += 9_999;
    expect(cache.get('k')?.age).toBe(9);
    clock += 1;
    expect(cache.get('k')).toBeUndefined();
    expect([cache.size, cache.bytes]).toEqual([0, 0]);
  });

  test.each([
    ['an answer that lives a day', () => answered(a('example.com', '192.0.2.1', 86_400)), 30],
    ['no such name, with SOA', () => response({ flags: nxdomain, authorities: [soa('com', 7)] }), 7],
    ['no data, with SOA', () => response({ authorities: [soa('com', 7)] }), 7],
    [
      'an alias to no data',
      () =>
        response({
          answers: [{ type: 'CNAME', name: 'example.com', data: 'b.com', ttl: 60 }],
          authorities: [soa('com', 7)],
        }),
      7,
    ],
    ['a denial without SOA', () => response({ flags: nxdomain }), 0],
    ['a life of 0', () => answered(a('example.com', '192.0.2.1', 0)), 0],
    ['a life that is none', () => answered(a('example.com', '192.0.2.1', 0x8000_0000)), 0],
    ['SERVFAIL', () => response({ flags: 2, authorities: [soa('com', 7)] }), 0],
    ['REFUSED', () => response({ flags: 5 }), 0],
    ['a cut answer', () => response({ flags: 0x0200, answers: [a('example.com', '192.0.2.1')] }), 0],
  ])('keeps %s so long', (_what, made, seconds) => {
    const cache = newCache();
    cache.set('k', made());
    clock += seconds * 1000 - 1;
    expect(cache.get('k') === undefined).toBe(seconds === 0);
    clock += 1;
    expect(cache.get('k')).toBeUndefined();
  });

  test('lets the least lately used go first', () => {
    const cache = newCache();
    for (const key of ['a', 'b', 'c']) cache.set(key, answered(a('example.com', '192.0.2.1')));
    cache.get('a');
    cache.set('d', answered(a('example.com', '192.0.2.1')));
    expect(['a', 'b', 'c', 'd'].map((key) => cache.get(key) !== undefined)).toEqual([true, false, true, true]);
  });

  test('stays within its octets, also when an answer is replaced', () => {
    const one = answered(a('example.com', '192.0.2.1'));
    const cache = newCache({ entries: 1000, bytes: one.message.length * 20 });
    for (let i = 0; i < 100; i++) cache.set(`k${i % 30}`, one);
    expect(cache.size).toBe(20);
    expect(cache.bytes).toBe(one.message.length * 20);
  });

  test('does not take one answer that fills a large part of it', () => {
    const cache = newCache({ bytes: 500 });
    cache.set('k', answered(a('example.com', '192.0.2.1')));
    expect(cache.size).toBe(0);
  });
});
