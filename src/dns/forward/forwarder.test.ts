import { type Answer, type DecodedPacket, encode } from 'dns-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import { DnsMetrics } from '../metrics.ts';
import { answerTo, ask, lines, questionPacket, rcodeOf } from '../testing/ask.ts';
import { exampleZone } from '../testing/cluster.ts';
import { type ForwardingParts, newForwarder } from '../testing/forwarding.ts';
import { responderOf } from '../testing/responder.ts';
import { a, otherServer, type Reply, soa } from '../testing/servers.ts';
import { rcode } from '../wire/constants.ts';
import { type Name, parseName } from '../wire/name.ts';
import type { ServerAddress } from './address.ts';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

async function serverWith(reply: Reply) {
  const server = await otherServer(reply);
  closers.push(() => server.close());
  return server;
}

function forwarding(
  upstreams: ForwardingParts['upstreams'],
  { metrics = new DnsMetrics(), ...rest }: Omit<ForwardingParts, 'upstreams'> = {},
) {
  const forwarder = newForwarder({ upstreams, metrics, ...rest });
  closers.push(() => forwarder.close());
  const responder = responderOf({ zone: exampleZone(), forwarder, metrics });
  return { forwarder, responder, metrics };
}

/** For silent servers, where no other one has to answer. */
const silentOnly = { timeoutMs: 150 };
/** For silent servers beside others that are given all this time to answer. */
const someSilent = { timeoutMs: 1_000 };
const nobody: ServerAddress = { ip: parseIp('127.0.0.1'), port: 1 };
const address: Reply = ({ questions }) => ({ answers: [a(questions?.[0]?.name ?? '', '192.0.2.1')] });

describe('Forwarder', () => {
  test('passes on what a server answers, in the case asked, with RA and without AA', async () => {
    const upstream = await serverWith((query) => ({ ...address(query, 'udp'), flags: 0x0400 | 0x0080 }) as never);
    const { responder } = forwarding([upstream.address]);
    const reply = await ask(responder, { name: 'WWW.Example.com', type: 'A' });
    expect(lines(reply.answers)).toEqual(['WWW.Example.com A 192.0.2.1']);
    expect(reply).toMatchObject({ id: 4711, flag_aa: false, flag_ra: true, flag_rd: true });
    expect(upstream.asked).toMatchObject([{ name: 'www.example.com', transport: 'udp' }]);
  });

  test('passes on that signatures were checked, from the cache too, to clients that ask', async () => {
    const upstream = await serverWith(
      (query) =>
        ({
          ...address(query, 'udp'),
          // A server that checks says so to those who set the flag themselves.
          flags: query.flag_ad ? 0x0020 : 0,
        }) as never,
    );
    const { responder } = forwarding([upstream.address]);
    const says = async (packet: Buffer) =>
      ((await answerTo(responder, packet)) ?? expect.fail()).readUInt16BE(2) & 0x0020;
    const question = { name: 'www.example.com', type: 'A' };
    expect(await says(questionPacket(question))).toBe(0);
    expect(await says(questionPacket(question, { flags: 0x0120 }))).toBe(0x0020);
    const dnssecOk = { type: 'OPT', name: '.', udpPayloadSize: 1232, flags: 0x8000, options: [] };
    expect(await says(questionPacket(question, { additionals: [dnssecOk as never] }))).toBe(0x0020);
    const alias = { name: 'search-engine.shop.svc.cluster.local', type: 'A' };
    expect(await says(questionPacket(alias, { flags: 0x0120 }))).toBe(0);
    expect(upstream.asked).toHaveLength(3);
  });

  test('passes records on with compressed names, whatever their type', async () => {
    const answers: Answer[] = [
      { type: 'MX', name: 'example.com', ttl: 60, data: { preference: 5, exchange: 'mail.example.com' } },
    ];
    const upstream = await serverWith(() => ({ answers, additionals: [a('mail.example.com', '192.0.2.9')] }));
    const { responder } = forwarding([upstream.address]);
    const reply = await ask(responder, { name: 'example.com', type: 'MX', udpSize: 1232 });
    expect(reply.answers).toMatchObject([{ type: 'MX', data: { exchange: 'mail.example.com' } }]);
    expect(reply.additionals?.map(({ type }) => type)).toEqual(['A', 'OPT']);
  });

  test('passes denials on', async () => {
    const upstream = await serverWith(() => ({ flags: 3, authorities: [soa('com', 60)] }));
    const { responder } = forwarding([upstream.address]);
    const reply = await ask(responder, { name: 'gone.com', type: 'A' });
    expect(rcodeOf(reply)).toBe('NXDOMAIN');
    expect(lines(reply.authorities)).toEqual(['com SOA ns.com admin.com']);
  });

  test('asks for reverse names that are not of the cluster', async () => {
    const upstream = await serverWith(() => ({
      answers: [{ type: 'PTR', name: '9.9.168.192.in-addr.arpa', data: 'printer.home', ttl: 60 }],
    }));
    const { responder } = forwarding([upstream.address]);
    const outside = await ask(responder, { name: '9.9.168.192.in-addr.arpa', type: 'PTR' });
    expect(lines(outside.answers)).toEqual(['9.9.168.192.in-addr.arpa PTR printer.home']);
    const inside = await ask(responder, { name: '1.0.96.10.in-addr.arpa', type: 'PTR' });
    expect(lines(inside.answers)).toEqual(['1.0.96.10.in-addr.arpa PTR kubernetes.default.svc.cluster.local']);
    expect(upstream.asked).toHaveLength(1);
  });

  test('never asks anybody for names of the cluster', async () => {
    const upstream = await serverWith(address);
    const { responder } = forwarding([upstream.address]);
    expect(rcodeOf(await ask(responder, { name: 'secret.default.svc.cluster.local', type: 'A' }))).toBe('NXDOMAIN');
    expect(upstream.asked).toEqual([]);
  });

  test('answers again from memory, with the life that is left', async () => {
    let clock = 0;
    const upstream = await serverWith(address);
    const { responder, metrics } = forwarding([upstream.address], { now: () => clock });
    await ask(responder, { name: 'example.com', type: 'A' });
    clock += 1_050;
    const again = await ask(responder, { name: 'EXAMPLE.com', type: 'A' });
    expect(again.answers).toMatchObject([{ name: 'EXAMPLE.com', ttl: 59 }]);
    expect(upstream.asked).toHaveLength(1);
    await ask(responder, { name: 'example.com', type: 'AAAA' });
    expect(upstream.asked).toHaveLength(2);
    expect(metrics.registry.text()).toMatch(/coredns_cache_hits_total\{[^}]*type="success"[^}]*\} 1\n/);
  });

  test('lets the addresses of an answer take turns at being first, also behind an alias', async () => {
    const addresses = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
    const upstream = await serverWith(() => ({
      answers: [
        { type: 'CNAME', name: 'www.example.com', data: 'example.com', ttl: 60 },
        ...addresses.map((ip) => a('example.com', ip)),
      ],
    }));
    const { responder } = forwarding([upstream.address]);
    const firsts = new Set<unknown>();
    for (let i = 0; i < 3; i++) {
      const { answers = [] } = await ask(responder, { name: 'www.example.com', type: 'A' });
      const [alias, ...rest] = answers as { readonly type: string; readonly data: string }[];
      expect(alias).toMatchObject({ type: 'CNAME', data: 'example.com' });
      expect(rest.map(({ data }) => data).sort()).toEqual(addresses);
      firsts.add(rest[0]?.data);
    }
    expect([...firsts].sort()).toEqual(addresses);
  });

  test('shares one answer among equal questions under way', async () => {
    const upstream = await serverWith(address);
    const { responder } = forwarding([upstream.address]);
    const replies = await Promise.all(
      ['a.com', 'A.com', 'a.COM', 'b.com'].map((name) => ask(responder, { name, type: 'A' })),
    );
    expect(replies.map((reply) => reply.answers?.[0]?.name)).toEqual(['a.com', 'A.com', 'a.COM', 'b.com']);
    expect(upstream.asked.map(({ name }) => name).sort()).toEqual(['a.com', 'b.com']);
  });

  test.each([
    ['is not there', undefined],
    ['is silent', () => undefined],
    ['fails', () => ({ flags: 2 })],
    ['refuses', () => ({ flags: 5 })],
    ['answers rubbish', () => Buffer.from('rubbish rubbish rubbish')],
    [
      'answers something else',
      (query: DecodedPacket) =>
        encode({
          type: 'response',
          id: query.id ?? 0,
          questions: [{ type: 'A', name: 'evil.com' }],
          answers: [a('evil.com', '192.0.2.66')],
        }),
    ],
    [
      'answers with another id',
      (query: DecodedPacket) =>
        encode({
          type: 'response',
          id: (query.id ?? 0) ^ 1,
          questions: query.questions ?? [],
          answers: [a('example.com', '192.0.2.66')],
        }),
    ],
  ] satisfies [string, Reply | undefined][])('asks the next server when the first %s', async (_what, reply) => {
    const first = reply === undefined ? nobody : (await serverWith(reply)).address;
    const second = await serverWith(address);
    const { responder } = forwarding([first, second.address], someSilent);
    const answer = await ask(responder, { name: 'example.com', type: 'A' });
    expect(lines(answer.answers)).toEqual(['example.com A 192.0.2.1']);
  });

  test('asks a server that failed after the others, until it answers a health check', async () => {
    let isUp = false;
    const first = await serverWith((query, transport) => (isUp ? address(query, transport) : undefined));
    const second = await serverWith(address);
    const settings = { healthCheckMs: 20, healthCheckDomain: parseName('health.test') as Name };
    const { responder } = forwarding([first.address, second.address], { settings, ...someSilent });
    const asked = (name: string) => first.asked.filter((each) => each.name === name).length;
    for (const name of ['a.com', 'b.com', 'c.com']) await ask(responder, { name, type: 'A' });
    expect(['a.com', 'b.com', 'c.com'].map(asked)).toEqual([1, 0, 0]);
    expect(second.asked).toHaveLength(3);
    isUp = true;
    await expect.poll(() => asked('health.test')).toBeGreaterThan(1);
    await expect
      .poll(async () => {
        await ask(responder, { name: `d${performance.now()}.com`, type: 'A' });
        return first.asked.some(({ name }) => name.startsWith('d'));
      })
      .toBe(true);
  });

  test('fails when nobody answers, and asks a single server twice', async () => {
    const lone = await serverWith(() => undefined);
    const { responder } = forwarding([lone.address], silentOnly);
    expect(rcodeOf(await ask(responder, { name: 'example.com', type: 'A' }))).toBe('SERVFAIL');
    expect(lone.asked.filter(({ name }) => name === 'example.com')).toHaveLength(2);
  });

  test('passes the refusal on when all refuse', async () => {
    const upstream = await serverWith(() => ({ flags: 5 }));
    for (const upstreams of [[upstream.address], [upstream.address, upstream.address]]) {
      const before = upstream.asked.length;
      const { responder } = forwarding(upstreams);
      expect(rcodeOf(await ask(responder, { name: 'example.com', type: 'A' }))).toBe('REFUSED');
      expect(upstream.asked).toHaveLength(before + upstreams.length);
    }
  });

  test('asks the next server for the codes it is told, and gives the last answer', async () => {
    const denying = await serverWith(() => ({ flags: 3, authorities: [soa('com', 60)] }));
    const answering = await serverWith(address);
    const settings = { failover: [rcode.NXDOMAIN] };
    const found = forwarding([denying.address, answering.address], { settings });
    expect(lines((await ask(found.responder, { name: 'a.com', type: 'A' })).answers)).toEqual(['a.com A 192.0.2.1']);
    const denied = forwarding([denying.address, denying.address], { settings });
    expect(rcodeOf(await ask(denied.responder, { name: 'a.com', type: 'A' }))).toBe('NXDOMAIN');
    expect(denying.asked).toHaveLength(3);
  });

  test('fails at once while all servers are down, where it is to', async () => {
    const { forwarder } = forwarding([nobody], { settings: { maxFails: 1, healthCheckMs: 10, failFast: true } });
    const question = {
      name: parseName('example.com') as Name,
      type: 1,
      flags: 0x0100,
      dnssecOk: false,
      transport: 'udp',
    } as const;
    await expect
      .poll(() => forwarder.resolve(question))
      .toEqual({ kind: 'failure', rcode: rcode.SERVFAIL, problem: 'no healthy proxies' });
  });

  test('refuses at once when there is nobody to ask', async () => {
    const { responder } = forwarding([]);
    expect(rcodeOf(await ask(responder, { name: 'example.com', type: 'A' }))).toBe('REFUSED');
  });

  test('asks over TCP for what does not fit, and cuts it for a UDP client', async () => {
    const many = Array.from({ length: 100 }, (_, i) => a('example.com', `192.0.2.${i}`));
    const upstream = await serverWith((_query, transport) =>
      transport === 'udp' ? { flags: 0x0200 } : { answers: many },
    );
    const { responder } = forwarding([upstream.address]);
    const overUdp = await ask(responder, { name: 'example.com', type: 'A' });
    // As many as fit into 512 octets, in turns: some clients go by what they have.
    const others = await ask(responder, { name: 'EXAMPLE.com', type: 'A' });
    expect([overUdp.flag_tc, overUdp.answers?.length]).toEqual([true, 17]);
    expect(lines(overUdp.answers)).toContain('example.com A 192.0.2.0');
    expect(lines(others.answers)).toContain('EXAMPLE.com A 192.0.2.17');
    const overTcp = await ask(responder, { name: 'example.com', type: 'A', transport: 'tcp' });
    expect([overTcp.flag_tc, overTcp.answers?.length]).toEqual([false, 100]);
    expect(upstream.asked.map(({ transport }) => transport)).toEqual(['udp', 'tcp']);
  });

  test('passes the cut answer on when there is no TCP', async () => {
    const upstream = await serverWith((_query, transport) =>
      transport === 'udp' ? { flags: 0x0200, answers: [a('example.com', '192.0.2.1')] } : undefined,
    );
    const { responder } = forwarding([upstream.address], someSilent);
    const reply = await ask(responder, { name: 'example.com', type: 'A' });
    expect([reply.flag_tc, reply.answers?.length]).toEqual([true, 1]);
  });

  test('refuses questions beyond its bound', async () => {
    const upstream = await serverWith(() => undefined);
    const { responder, metrics } = forwarding([upstream.address], { maxInFlight: 2, ...silentOnly });
    const replies = await Promise.all(['a.com', 'b.com', 'c.com'].map((name) => ask(responder, { name, type: 'A' })));
    expect(replies.map(rcodeOf)).toEqual(['SERVFAIL', 'SERVFAIL', 'REFUSED']);
    expect(metrics.registry.text()).toContain('coredns_forward_max_concurrent_rejects_total 1');
  });

  test('asks from many ports', async () => {
    const upstream = await serverWith(address);
    const { responder } = forwarding([upstream.address], { maxInFlight: 100 });
    await Promise.all(Array.from({ length: 60 }, (_, i) => ask(responder, { name: `n${i}.com`, type: 'A' })));
    expect(new Set(upstream.asked.map(({ port }) => port)).size).toBeGreaterThan(4);
  });

  test('keeps its questions waiting no longer than its deadline', async () => {
    const silentServers = await Promise.all([1, 2, 3, 4].map(() => serverWith(() => undefined)));
    const { responder } = forwarding(
      silentServers.map((server) => server.address),
      { timeoutMs: 100, deadlineMs: 250 },
    );
    expect(rcodeOf(await ask(responder, { name: 'example.com', type: 'A' }))).toBe('SERVFAIL');
    // For the fourth there was no time left: what timers end too early is none.
    expect(silentServers.filter(({ asked }) => asked.length > 0).length).toBeLessThan(4);
  });

  test('leaves out a server that sends its questions back', async () => {
    const asks: Promise<unknown>[] = [];
    let responder: Responder | undefined;
    // A server that forwards all to us, and answers nothing of its own.
    const mirror = await serverWith(({ questions }) => {
      const [question] = questions ?? [];
      if (question !== undefined && responder !== undefined) asks.push(ask(responder, question));
      return undefined;
    });
    const other = await serverWith(address);
    const made = forwarding([mirror.address, other.address]);
    responder = made.responder;
    made.forwarder.probeForLoops();
    await expect.poll(() => mirror.asked.length).toBe(1);
    await Promise.all(asks);
    await ask(responder, { name: 'example.com', type: 'A' });
    expect(mirror.asked).toHaveLength(1);
  });

  test('ends a loop it has not found yet: a question that comes back waits for itself', async () => {
    let responder: Responder | undefined;
    const mirror = await serverWith(({ questions }) => {
      const [question] = questions ?? [];
      if (question !== undefined && responder !== undefined) void ask(responder, question);
      return undefined;
    });
    ({ responder } = forwarding([mirror.address], silentOnly));
    expect(rcodeOf(await ask(responder, { name: 'example.com', type: 'A' }))).toBe('SERVFAIL');
    expect(mirror.asked.filter(({ name }) => name === 'example.com')).toHaveLength(2);
  });
});

describe('Responder: aliases to names outside', () => {
  test('resolves what the alias leads to', async () => {
    const upstream = await serverWith(() => ({
      answers: [
        { type: 'CNAME', name: 'search.example.com', data: 'edge.example.net', ttl: 60 },
        a('edge.example.net', '192.0.2.7'),
      ],
    }));
    const { responder } = forwarding([upstream.address]);
    const reply = await ask(responder, { name: 'outer-chain.shop.svc.cluster.local', type: 'A' });
    expect(reply.answers?.map((record) => `${record.name} ${record.type}`)).toEqual([
      'outer-chain.shop.svc.cluster.local CNAME',
      'search-engine.shop.svc.cluster.local CNAME',
      'search.example.com CNAME',
      'edge.example.net A',
    ]);
    expect(upstream.asked.map(({ name }) => name)).toEqual(['search.example.com']);
  });

  test.each(['A', 'AAAA', 'TXT'])('asks for type %s as the client did', async (type) => {
    const types: unknown[] = [];
    const upstream = await serverWith(({ questions }) => {
      types.push(questions?.[0]?.type);
      return { authorities: [soa('example.com', 60)] };
    });
    const { responder } = forwarding([upstream.address]);
    const reply = await ask(responder, { name: 'search-engine.shop.svc.cluster.local', type });
    expect(lines(reply.answers)).toEqual(['search-engine.shop.svc.cluster.local CNAME search.example.com']);
    expect(lines(reply.authorities)).toEqual(['example.com SOA ns.example.com admin.example.com']);
    expect(types).toEqual([type]);
  });

  test('asks nobody when the alias itself is wanted', async () => {
    const upstream = await serverWith(address);
    const { responder } = forwarding([upstream.address]);
    await ask(responder, { name: 'search-engine.shop.svc.cluster.local', type: 'CNAME' });
    expect(upstream.asked).toEqual([]);
  });

  test('gives the alias alone where its target is denied, or servers fail', async () => {
    const asked = { name: 'search-engine.shop.svc.cluster.local', type: 'A' };
    const alias = ['search-engine.shop.svc.cluster.local CNAME search.example.com'];
    const denying = await serverWith(() => ({ flags: 3, authorities: [soa('com', 60)] }));
    const denied = await ask(forwarding([denying.address]).responder, asked);
    expect([rcodeOf(denied), denied.flag_aa]).toEqual(['NOERROR', true]);
    expect([lines(denied.answers), lines(denied.authorities)]).toEqual([alias, ['com SOA ns.com admin.com']]);
    const failing = await serverWith(() => ({ flags: 2 }));
    for (const address of [failing.address, nobody]) {
      const failed = await ask(forwarding([address]).responder, asked);
      expect([rcodeOf(failed), failed.flag_aa, lines(failed.answers)]).toEqual(['NOERROR', true, alias]);
    }
  });
});
