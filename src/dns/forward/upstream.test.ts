import { networkInterfaces } from 'node:os';
import { type DecodedPacket, encode } from 'dns-packet';
import { pino } from 'pino';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import { DnsMetrics } from '../metrics.ts';
import { type Certified, certify } from '../testing/certificates.ts';
import { type ForwardingParts, newForwarder } from '../testing/forwarding.ts';
import { a, otherServer, type Reply } from '../testing/servers.ts';
import { type Name, parseName } from '../wire/name.ts';
import type { Question } from './question.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

let authority: Certified;
let server: Certified;
beforeAll(async () => {
  authority = await certify('Test Authority');
  server = await certify('dns.test', authority);
});

const address: Reply = ({ questions }) => ({ answers: [a(questions?.[0]?.name ?? '', '192.0.2.1')] });
const cut: Reply = (query, transport) => (transport === 'udp' ? { flags: 0x0200 } : address(query, transport));

async function serverWith(reply: Reply, tls?: Parameters<typeof otherServer>[1]) {
  const other = await otherServer(reply, tls);
  closers.push(() => other.close());
  return other;
}

/** A forwarder without a cache, what comes of asking it, and its books. */
function forwarding(parts: ForwardingParts) {
  const metrics = new DnsMetrics();
  const forwarder = newForwarder({ cache: false, metrics, ...parts });
  closers.push(() => forwarder.close());
  const code = async (name = 'example.com', rest: Partial<Question> = {}) => {
    const question = {
      name: parseName(name) as Name,
      type: 1,
      flags: 0x0100,
      dnssecOk: false,
      transport: 'udp',
    } as const;
    const forwarded = await forwarder.resolve({ ...question, ...rest });
    return forwarded.kind === 'failure' ? forwarded.rcode : forwarded.response.rcode;
  };
  return { code, text: () => metrics.registry.text() };
}

const noerror = 0;
const servfail = 2;
const refused = 5;

describe('Upstream: transports', () => {
  test.each([
    ['udp', {}, ['udp']],
    ['tcp', {}, ['tcp']],
    ['udp', { forceTcp: true }, ['tcp']],
    ['tcp', { preferUdp: true }, ['udp']],
  ] as const)('a client over %s with %j', async (transport, settings, expected) => {
    const other = await serverWith(address);
    const { code } = forwarding({ upstreams: [other.address], settings });
    expect(await code('example.com', { transport })).toBe(noerror);
    expect(other.asked.map((each) => each.transport)).toEqual(expected);
  });

  test('asks again over TCP for what was cut, with prefer_udp too', async () => {
    const other = await serverWith(cut);
    const { code } = forwarding({ upstreams: [other.address], settings: { preferUdp: true } });
    expect(await code('example.com', { transport: 'tcp' })).toBe(noerror);
    expect(other.asked.map((each) => each.transport)).toEqual(['udp', 'tcp']);
  });

  test('asks over UDP for a client over TCP where there is no TCP', async () => {
    const other = await serverWith((query, transport) => (transport === 'tcp' ? undefined : address(query, transport)));
    const { code } = forwarding({ upstreams: [other.address], timeoutMs: 4_000 });
    expect(await code('example.com', { transport: 'tcp' })).toBe(noerror);
  });

  test.each([
    ['silent', () => undefined],
    ['too small for the answer', cut],
  ])('gives a server that is slow over TCP all the time there is, where UDP is %s', async (_what, overUdp: Reply) => {
    let hurry: () => void = () => undefined;
    const asked = new Promise<void>((resolve) => {
      hurry = resolve;
    });
    const other = await serverWith(async (query, transport) => {
      if (transport === 'udp') {
        hurry();
        return overUdp(query, transport);
      }
      await asked;
      return address(query, transport);
    });
    const { code } = forwarding({ upstreams: [other.address], timeoutMs: 4_000, deadlineMs: 4_000 });
    expect(await code('example.com', { transport: 'tcp' })).toBe(noerror);
    expect(other.asked.map((each) => each.transport)).toEqual(['tcp', 'udp']);
  });

  test('uses a connection again until it expires, and another when the server closed it', async () => {
    const other = await serverWith(address);
    const settings = { forceTcp: true, expireMs: 2_000 };
    const { code, text } = forwarding({ upstreams: [other.address], settings });
    await code('a.com');
    await code('b.com');
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await code('c.com');
    const [one, two, three] = other.asked.map(({ port }) => port);
    expect([one === two, two === three]).toEqual([true, false]);
    expect(text()).toMatch(/coredns_proxy_conn_cache_hits_total\{[^}]*proto="tcp"\} 1\n/);
    expect(text()).toMatch(/coredns_proxy_conn_cache_misses_total\{[^}]*proto="tcp"\} 2\n/);
  });

  test('asks on no other connection when the time is over, however early the timer says so', async () => {
    // By a clock that stands still there is time left when a timer has ended.
    vi.useFakeTimers({ toFake: ['performance'] });
    closers.push(() => vi.useRealTimers());
    const other = await serverWith((query, transport) =>
      query.questions?.[0]?.name === 'silent.com' ? undefined : address(query, transport),
    );
    const { code } = forwarding({ upstreams: [other.address], settings: { forceTcp: true }, timeoutMs: 1_000 });
    expect(await code('a.com')).toBe(noerror);
    expect(await code('silent.com')).toBe(servfail);
    // On the connection that was open, and once more as a lone server is asked twice.
    expect(other.asked.filter(({ name }) => name === 'silent.com')).toHaveLength(2);
  });

  test('takes no answer over TCP that is to another question', async () => {
    const other = await serverWith(({ id }) =>
      encode({ type: 'response', id: id ?? 0, questions: [{ type: 'A', name: 'evil.com' }] }),
    );
    const { code } = forwarding({ upstreams: [other.address], settings: { forceTcp: true } });
    expect(await code()).toBe(servfail);
  });

  const hasIpv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ address: ip }) => ip === '::1'));
  test.skipIf(!hasIpv6).each([[{}], [{ forceTcp: true }]])(
    'asks a server by its IPv6 address, with %j',
    async (settings) => {
      const other = await otherServer(address, undefined, parseIp('::1'));
      closers.push(() => other.close());
      const { code, text } = forwarding({ upstreams: [other.address], settings });
      expect(await code()).toBe(noerror);
      expect(text()).toContain(`to="[::1]:${other.address.port}",rcode="NOERROR"`);
    },
  );

  test.each([
    ['', () => ({ flags: 1 })],
    [', and does not repeat the question', ({ id = 0 }: DecodedPacket) => encode({ type: 'response', id, flags: 1 })],
  ])('asks without EDNS where the server does not know it%s', async (_what, formErr: Reply) => {
    const hasEdns = ({ additionals = [] }: DecodedPacket) => additionals.some(({ type }) => type === 'OPT');
    const other = await serverWith((query, transport) => (hasEdns(query) ? formErr : address)(query, transport));
    for (const transport of ['udp', 'tcp'] as const) {
      const { code } = forwarding({ upstreams: [other.address] });
      expect(await code('example.com', { transport })).toBe(noerror);
    }
    expect(other.asked).toHaveLength(4);
  });

  test('takes a refusal that does not repeat the question, and no other answer', async () => {
    const other = await serverWith(({ id = 0, questions }) => {
      const isRefused = questions?.[0]?.name === 'refused.com';
      return encode({ type: 'response', id, flags: isRefused ? refused : noerror });
    });
    const { code } = forwarding({ upstreams: [other.address], timeoutMs: 1_000 });
    expect(await code('refused.com')).toBe(refused);
    expect(await code('example.com')).toBe(servfail);
  });
});

describe('Upstream: TLS', () => {
  const secured = async (parts: Partial<ForwardingParts> = {}, tls = {}) => {
    const other = await serverWith(address, { cert: server.cert, key: server.key, ...tls });
    const upstreams = [{ ...other.address, transport: 'tls' as const }];
    return { other, ...forwarding({ upstreams, ...parts }) };
  };

  test.each([
    ['by its address', undefined, noerror],
    ['by its name', 'dns.test', noerror],
    ['by another name', 'other.test', servfail],
  ])('knows a server %s', async (_how, serverName, expected) => {
    const { code, other } = await secured({ tls: { serverName, ca: authority.cert } });
    expect(await code()).toBe(expected);
    expect(other.asked.map(({ transport }) => transport)).toEqual(expected === noerror ? ['tcp'] : []);
  });

  test('trusts no authority it was not given', async () => {
    const { code, other } = await secured({ tls: { serverName: 'dns.test' } });
    expect(await code()).toBe(servfail);
    expect(other.asked).toEqual([]);
  });

  test('shows its certificate, and keeps the connection', async () => {
    const client = await certify('client.test', authority);
    const tls = { requestCert: true, rejectUnauthorized: true, ca: authority.cert };
    const { code, other, text } = await secured({ tls: { serverName: undefined, ca: authority.cert, ...client } }, tls);
    expect(await code('a.com')).toBe(noerror);
    expect(await code('b.com')).toBe(noerror);
    expect(new Set(other.asked.map(({ port }) => port)).size).toBe(1);
    expect(text()).toMatch(/coredns_proxy_conn_cache_hits_total\{[^}]*proto="tcp-tls"\} 1\n/);
  });

  test('takes its session up again on another connection', async () => {
    const { code, other } = await secured({
      tls: { serverName: 'dns.test', ca: authority.cert },
      settings: { expireMs: 50 },
    });
    expect(await code('a.com')).toBe(noerror);
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(await code('b.com')).toBe(noerror);
    expect(other.resumed).toEqual([false, true]);
  });
});

describe('Forwarder: policies and health', () => {
  const three = () => Promise.all([1, 2, 3].map(() => serverWith(address)));
  const names = Array.from({ length: 60 }, (_, i) => `n${i}.com`);

  test.each([
    ['sequential', [60, 0, 0]],
    ['round_robin', [20, 20, 20]],
  ] as const)('asks by the policy %s', async (policy, expected) => {
    const servers = await three();
    const { code } = forwarding({ upstreams: servers.map((s) => s.address), settings: { policy } });
    for (const name of names) await code(name);
    expect(servers.map(({ asked }) => asked.length)).toEqual(expected);
  });

  test('asks at random', async () => {
    const servers = await three();
    const { code } = forwarding({ upstreams: servers.map((s) => s.address), settings: { policy: 'random' } });
    for (const name of names) await code(name);
    // One of them is left out once in ten thousand millions.
    for (const { asked } of servers) expect(asked.length).toBeGreaterThan(0);
  });

  test('checks a server that failed in its own words', async () => {
    const queries: DecodedPacket[] = [];
    const silentServer = await serverWith((query) => void queries.push(query) as undefined);
    const second = await serverWith(address);
    const upstreams = [silentServer.address, second.address];
    const { code } = forwarding({ upstreams, settings: { healthCheckMs: 10 }, timeoutMs: 1_000 });
    expect(await code()).toBe(noerror);
    await expect.poll(() => queries.length).toBeGreaterThan(1);
    expect(queries[1]).toMatchObject({ flag_rd: true, questions: [{ name: '.', type: 'NS' }] });
  });

  test('tells of a server that is not there, not of one that has no answer to a question', async () => {
    const told: string[] = [];
    const log = pino({}, { write: (text) => void told.push((JSON.parse(text) as { msg: string }).msg) });
    let isAway = false;
    const other = await serverWith((query) =>
      isAway || query.questions?.[0]?.name === 'hopeless.com' ? undefined : address(query, 'udp'),
    );
    const { code } = forwarding({ upstreams: [other.address], settings: { healthCheckMs: 10 }, timeoutMs: 1_000, log });
    const checks = () => other.asked.filter(({ name }) => name === '.').length;
    expect(await code('hopeless.com')).toBe(servfail);
    await expect.poll(checks).toBeGreaterThan(0);
    expect(await code('fine.com')).toBe(noerror);
    expect(told).toEqual([]);
    isAway = true;
    expect(await code('gone.com')).toBe(servfail);
    await expect.poll(() => told, { interval: 1 }).toEqual(['upstream does not answer']);
    isAway = false;
    await expect.poll(() => told).toEqual(['upstream does not answer', 'upstream answers again']);
  });

  test('passes over who failed too many checks, and asks anyone when all did', async () => {
    const settings = { healthCheckMs: 10, maxFails: 1 };
    const gone = { ip: '127.0.0.1' as never, port: 1 };
    const { code, text } = forwarding({ upstreams: [gone], settings });
    const broken = () => Number(/^coredns_forward_healthcheck_broken_total (\d+)$/m.exec(text())?.[1]);
    expect(await code()).toBe(servfail);
    expect(broken()).toBe(0);
    await expect.poll(() => text()).toMatch(/healthcheck_failures_total\{[^}]*\} [2-9]/);
    expect(await code()).toBe(servfail);
    expect(broken()).toBe(1);
    const second = await serverWith(address);
    const both = forwarding({ upstreams: [gone, second.address], settings });
    for (const name of names.slice(0, 5)) expect(await both.code(name)).toBe(noerror);
  });

  test('never checks with max_fails 0', async () => {
    const silentServer = await serverWith(() => undefined);
    const second = await serverWith(address);
    const upstreams = [silentServer.address, second.address];
    const { code, text } = forwarding({ upstreams, settings: { maxFails: 0, healthCheckMs: 10 }, timeoutMs: 1_000 });
    for (const name of ['a.com', 'b.com']) expect(await code(name)).toBe(noerror);
    expect(silentServer.asked.map(({ name }) => name)).toEqual(['a.com', 'b.com']);
    expect(text()).not.toMatch(/^coredns_proxy_healthcheck_failures_total\{/m);
  });

  test('refuses what is beyond max_concurrent', async () => {
    const silentServer = await serverWith(() => undefined);
    const { code } = forwarding({ upstreams: [silentServer.address], maxInFlight: 1, timeoutMs: 150 });
    expect(await Promise.all([code('a.com'), code('b.com')])).toEqual([servfail, refused]);
  });
});

describe('Forwarder: cache', () => {
  const stale = (refresh: 'verify' | 'immediate', verifyTimeoutMs = 0) => ({
    serveStale: { durationMs: 60_000, refresh, verifyTimeoutMs },
  });

  /** A server that goes silent on demand, and a forwarder whose cache has an answer of it that is over. */
  async function withStale(cache: ReturnType<typeof stale>, timeoutMs = 1_000) {
    let clock = 0;
    let isSilent = false;
    const other = await serverWith((query, transport) => (isSilent ? undefined : address(query, transport)));
    const metrics = new DnsMetrics();
    const forwarder = newForwarder({ upstreams: [other.address], cache, metrics, now: () => clock, timeoutMs });
    closers.push(() => forwarder.close());
    const question = {
      name: parseName('a.com') as Name,
      type: 1,
      flags: 0x0100,
      dnssecOk: false,
      transport: 'udp',
    } as const;
    await forwarder.resolve(question);
    clock += 60_000;
    const silence = () => {
      isSilent = true;
    };
    return { other, silence, ask: () => forwarder.resolve(question), text: () => metrics.registry.text() };
  }

  test('gives what is over at once, and asks anew meanwhile', async () => {
    const { other, ask, text } = await withStale(stale('immediate'));
    expect(ask()).toMatchObject({ kind: 'answer', ttl: 0, cached: true });
    await expect.poll(() => other.asked.length).toBe(2);
    await expect.poll(async () => (await ask()) as unknown).toMatchObject({ ttl: 60, cached: true });
    expect(text()).toMatch(/coredns_cache_served_stale_total\{[^}]*\} [1-9]/);
  });

  test('asks first with verify, and gives what is over when nobody answers', async () => {
    const { silence, ask, text } = await withStale(stale('verify'));
    expect(await ask()).toMatchObject({ ttl: 60, cached: false });
    expect(text()).not.toContain('coredns_cache_served_stale_total{');
    const other = await withStale(stale('verify'));
    other.silence();
    silence();
    expect(await other.ask()).toMatchObject({ kind: 'answer', ttl: 0, cached: true });
    expect(other.text()).toMatch(/coredns_cache_served_stale_total\{[^}]*\} 1/);
  });

  test('waits no longer than verify says', async () => {
    const { silence, ask } = await withStale(stale('verify', 20), 20_000);
    silence();
    const started = performance.now();
    expect(await ask()).toMatchObject({ ttl: 0, cached: true });
    // The upstream is given 20 seconds.
    expect(performance.now() - started).toBeLessThan(15_000);
  });

  test('asks anew for what is asked for often, before it is over', async () => {
    let clock = 0;
    const other = await serverWith(address);
    const metrics = new DnsMetrics();
    const prefetch = { amount: 2, durationMs: 60_000, percentage: 50 };
    const forwarder = newForwarder({ upstreams: [other.address], cache: { prefetch }, metrics, now: () => clock });
    closers.push(() => forwarder.close());
    const ask = () =>
      forwarder.resolve({
        name: parseName('a.com') as Name,
        type: 1,
        flags: 0x0100,
        dnssecOk: false,
        transport: 'udp',
      });
    await ask();
    await ask();
    clock += 40_000;
    expect(await ask()).toMatchObject({ ttl: 20, cached: true });
    await expect.poll(async () => (await ask()) as unknown).toMatchObject({ ttl: 60 });
    expect(other.asked).toHaveLength(2);
    expect(metrics.registry.text()).toMatch(/coredns_cache_prefetch_total\{[^}]*\} 1\n/);
  });
});
