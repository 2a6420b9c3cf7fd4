import { type Answer, encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { cacheDefaults } from '../config/defaults.ts';
import type { CacheSettings } from '../config/types.ts';
import { DnsMetrics } from '../metrics.ts';
import { a, soa } from '../testing/servers.ts';
import { type Name, parseName, rootName } from '../wire/name.ts';
import { type Response, readResponse } from '../wire/response.ts';
import { AnswerCache } from './cache.ts';
import type { Question } from './question.ts';

let clock = 0;
let metrics: DnsMetrics;
beforeEach(() => {
  metrics = new DnsMetrics();
});

const newCache = ({ bytes = 1 << 20, ...settings }: Partial<CacheSettings> & { bytes?: number } = {}) =>
  new AnswerCache(
    {
      settings: { ...cacheDefaults, zones: [rootName], ...settings },
      bytes,
      metrics: metrics.cache('dns://:53', '.'),
    },
    () => clock,
  );
const bounds = (capacity: number) => ({ capacity, maxTtl: 3600, minTtl: 0 });
const named = (text: string) => parseName(text) as Name;
const asking = (text: string): Question => ({
  name: named(text),
  type: 1,
  flags: 0x0100,
  dnssecOk: false,
  transport: 'udp',
});
const question = asking('example.com');

function response(packet: Packet): Response {
  const asked = { name: 'example.com', type: 'A' } as const;
  const read = readResponse(encode({ type: 'response', questions: [asked], ...packet }));
  if (read === undefined) throw new Error('the test made no response');
  return read;
}

const answered = (...answers: Answer[]) => response({ answers });
const nxdomain = 3;
const servfail = response({ flags: 2 });

/** A number among the metrics. */
function metric(name: string): number {
  const line = metrics.registry.text().match(new RegExp(`^coredns_cache_${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm'));
  return Number(line?.[1] ?? 0);
}

describe('AnswerCache', () => {
  test('keeps an answer for the shortest life in it, and says what is left', () => {
    const cache = newCache();
    const kept = cache.keep(question, answered(a('example.com', '192.0.2.1', 20), a('example.com', '192.0.2.2', 10)));
    expect(kept).toBe(10);
    clock += 9_999;
    expect(cache.find(question)?.ttl).toBe(1);
    clock += 1;
    expect(cache.find(question)).toBeUndefined();
    expect([cache.size, cache.bytes, metric('entries')]).toEqual([0, 0, 0]);
    expect([metric('requests_total'), metric('hits_total'), metric('misses_total')]).toEqual([2, 1, 1]);
  });

  test.each([
    ['an answer that lives a day', () => answered(a('example.com', '192.0.2.1', 86_400)), 3600],
    ['an answer that lives a second', () => answered(a('example.com', '192.0.2.1', 1)), 5],
    ['no such name, with SOA', () => response({ flags: nxdomain, authorities: [soa('com', 7)] }), 7],
    ['no such name, for a day', () => response({ flags: nxdomain, authorities: [soa('com', 86_400)] }), 1800],
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
    ['nothing at all', () => response({}), 0],
    ['a life that is none', () => answered(a('example.com', '192.0.2.1', 0x8000_0000)), 5],
    ['SERVFAIL', () => servfail, 5],
    ['NOTIMP', () => response({ flags: 4 }), 5],
    ['REFUSED', () => response({ flags: 5 }), 0],
    ['a cut answer', () => response({ flags: 0x0200, answers: [a('example.com', '192.0.2.1')] }), 0],
  ])('keeps %s so long', (_what, made, seconds) => {
    const cache = newCache();
    cache.keep(question, made());
    clock += seconds * 1000 - 1;
    expect(cache.find(question) === undefined).toBe(seconds === 0);
    clock += 1;
    expect(cache.find(question)).toBeUndefined();
  });

  test('keeps no failure when it is not to', () => {
    const cache = newCache({ servfailMs: 0 });
    cache.keep(question, servfail);
    expect(cache.size).toBe(0);
  });

  test('keeps neither answers nor denials of zones where they are disabled', () => {
    const cache = newCache({ disableSuccess: [named('a.test')], disableDenial: [named('b.test')] });
    const denied = response({ flags: nxdomain, authorities: [soa('com', 7)] });
    for (const zone of ['a.test', 'b.test']) {
      cache.keep(asking(`yes.${zone}`), answered(a('example.com', '192.0.2.1')));
      cache.keep(asking(`no.${zone}`), denied);
    }
    const kept = ['yes.a.test', 'no.a.test', 'yes.b.test', 'no.b.test'].map((n) => cache.find(asking(n)) !== undefined);
    expect(kept).toEqual([false, true, true, false]);
  });

  test('covers its zones', () => {
    const cache = newCache({ zones: [named('a.test')] });
    expect(['a.test', 'x.a.test', 'b.test'].map((n) => cache.covers(named(n)))).toEqual([true, true, false]);
  });

  test('leaves records their life with keepttl', () => {
    const cache = newCache({ keepTtl: true });
    expect(cache.keep(question, answered(a('example.com', '192.0.2.1')))).toBeUndefined();
    clock += 30_000;
    expect(cache.find(question)).toMatchObject({ ttl: undefined, isStale: false });
  });

  test('lets the least lately used go first, of each kind', () => {
    const cache = newCache({ success: bounds(3), denial: bounds(1) });
    cache.keep(asking('denied'), response({ flags: nxdomain, authorities: [soa('com', 60)] }));
    for (const key of ['a', 'b', 'c']) cache.keep(asking(key), answered(a('example.com', '192.0.2.1')));
    cache.find(asking('a'));
    cache.keep(asking('d'), answered(a('example.com', '192.0.2.1')));
    const has = ['a', 'b', 'c', 'd', 'denied'].map((key) => cache.find(asking(key)) !== undefined);
    expect(has).toEqual([true, false, true, true, true]);
    expect(metric('evictions_total')).toBe(1);
  });

  test('knows one answer to a question: the last', () => {
    const cache = newCache();
    cache.keep(question, response({ flags: nxdomain, authorities: [soa('com', 7)] }));
    cache.keep(question, answered(a('example.com', '192.0.2.1')));
    expect(cache.find(question)?.response.rcode).toBe(0);
    expect(cache.size).toBe(1);
  });

  test('gives what is over as stale, for so long, and lets no failure replace it', () => {
    const cache = newCache({ serveStale: { durationMs: 60_000, refresh: 'immediate', verifyTimeoutMs: 0 } });
    cache.keep(question, answered(a('example.com', '192.0.2.1', 10)));
    expect(cache.find(question)?.isStale).toBe(false);
    clock += 10_000;
    expect(cache.find(question)).toMatchObject({ isStale: true, ttl: 0 });
    cache.keep(question, servfail);
    expect(cache.find(question)).toMatchObject({ isStale: true, response: { rcode: 0 } });
    clock += 60_000;
    expect(cache.find(question)).toBeUndefined();
  });

  test('says that what is asked for often, and soon over, is wanted', () => {
    const cache = newCache({ prefetch: { amount: 3, durationMs: 1_000, percentage: 50 } });
    cache.keep(question, answered(a('example.com', '192.0.2.1', 10)));
    const wanted = () => cache.find(question)?.isWanted;
    expect([wanted(), wanted(), wanted()]).toEqual([false, false, false]);
    clock += 5_000;
    // The gap was too long: counted from the beginning.
    expect([wanted(), wanted(), wanted()]).toEqual([false, false, true]);
  });

  test('stays within its bounds, whatever is kept', () => {
    const one = answered(a('example.com', '192.0.2.1'));
    const denied = response({ flags: nxdomain, authorities: [soa('com', 60)] });
    const steps = fc.array(fc.tuple(fc.nat(40), fc.constantFrom(one, denied, servfail), fc.nat(20_000)));
    fc.assert(
      fc.property(steps, (all) => {
        metrics = new DnsMetrics();
        const size = 10 * one.message.length;
        const cache = newCache({ success: bounds(20), denial: bounds(5), bytes: 2 * size });
        for (const [key, made, ms] of all) {
          cache.keep(asking(`k${key}`), made);
          clock += ms;
          cache.find(asking(`k${key}`));
          expect(cache.size).toBeLessThanOrEqual(15);
          expect(cache.bytes).toBeLessThanOrEqual(2 * size);
        }
        cache.clear();
        expect([cache.size, cache.bytes]).toEqual([0, 0]);
        expect(metrics.registry.text()).not.toMatch(/^coredns_cache_entries\{.*\} [^0]/m);
      }),
    );
  });

  test('bounds what records take in memory, which is more than their octets', () => {
    const many = answered(...Array.from({ length: 40 }, (_, i) => a('example.com', `192.0.2.${i}`)));
    const cache = newCache({ bytes: 128 * many.message.length });
    for (let i = 0; i < 32; i++) cache.keep(asking(`k${i}`), many);
    expect(cache.size).toBeGreaterThan(5);
    expect(cache.size).toBeLessThan(20);
  });

  test('does not take one answer that fills a large part of it', () => {
    const cache = newCache({ bytes: 500 });
    cache.keep(question, answered(a('example.com', '192.0.2.1')));
    expect(cache.size).toBe(0);
  });
});
