import { describe, expect, test } from 'vitest';
import { answerTo, ask, lines, questionPacket, rcodeOf, someone } from './testing/ask.ts';
import { exampleZone } from './testing/cluster.ts';
import { emptyZone, service, slice } from './testing/objects.ts';
import { responderOf } from './testing/responder.ts';
import { rcode } from './wire/constants.ts';

const responder = responderOf({ zone: exampleZone() });
const soa = 'cluster.local SOA ns.dns.cluster.local hostmaster.cluster.local';

/** Expands the abbreviations of the tables: `~` is the cluster's Services, `%` the cluster domain. */
function full(text: string): string {
  return text.replaceAll('~', 'svc.cluster.local').replaceAll('%', 'cluster.local');
}

type Case = readonly [question: string, ...answers: readonly string[]];

/** Questions with answers: each answer is `owner TYPE data`, the owner left out where it is the question's name. */
const positive: readonly Case[] = [
  // 2.2 schema version
  ['dns-version.% TXT', '1.1.0'],
  // 2.3.1 A and AAAA of a Service with cluster IPs
  ['kubernetes.default.~ A', '10.96.0.1'],
  ['hello-service.default.~ A', '10.96.0.20'],
  ['hello-service.shop.~ A', '10.96.0.40'],
  ['unnamed.default.~ A', '10.96.0.21'],
  ['kube-dns.kube-system.~ A', '10.96.0.10'],
  ['dual.default.~ A', '10.96.0.30'],
  ['dual.default.~ AAAA', 'fd00:10:96::30'],
  ['six.default.~ AAAA', 'fd00:10:96::6'],
  // 2.3.2 SRV of named ports
  ['_https._tcp.kubernetes.default.~ SRV', '0 100 443 kubernetes.default.~'],
  ['_http._tcp.hello-service.default.~ SRV', '0 100 80 hello-service.default.~'],
  ['_metrics._tcp.hello-service.default.~ SRV', '0 100 9090 hello-service.default.~'],
  ['_stats._udp.hello-service.default.~ SRV', '0 100 8125 hello-service.default.~'],
  ['_dns._udp.kube-dns.kube-system.~ SRV', '0 100 53 kube-dns.kube-system.~'],
  ['_dns-tcp._tcp.kube-dns.kube-system.~ SRV', '0 100 53 kube-dns.kube-system.~'],
  ['_http._tcp.dual.default.~ SRV', '0 100 80 dual.default.~'],
  // Beyond the specification, as CoreDNS: SRV of all ports at the Service's name
  ['unnamed.default.~ SRV', '0 100 80 unnamed.default.~'],
  [
    'hello-service.default.~ SRV',
    '0 100 80 hello-service.default.~',
    '0 100 8125 hello-service.default.~',
    '0 100 9090 hello-service.default.~',
  ],
  // 2.3.3 PTR of cluster IPs
  ['1.0.96.10.in-addr.arpa PTR', 'kubernetes.default.~'],
  ['20.0.96.10.in-addr.arpa PTR', 'hello-service.default.~'],
  ['30.0.96.10.in-addr.arpa PTR', 'dual.default.~'],
  ['0.3.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.6.9.0.0.0.1.0.0.0.0.d.f.ip6.arpa PTR', 'dual.default.~'],
  // 2.4.1 A and AAAA of ready endpoints of headless Services
  ['pets.default.~ A', '10.244.1.2', '10.244.2.3'],
  ['pets.default.~ AAAA', 'fd00:10:244::2', 'fd00:10:244::3'],
  ['portless.default.~ A', '10.244.1.6'],
  ['twins.default.~ A', '10.244.1.7', '10.244.1.8'],
  // ... by hostname, and by address with dashes for those without
  ['rex.pets.default.~ A', '10.244.2.3'],
  ['rex.pets.default.~ AAAA', 'fd00:10:244::3'],
  ['twin.twins.default.~ A', '10.244.1.7', '10.244.1.8'],
  ['10-244-1-2.pets.default.~ A', '10.244.1.2'],
  ['fd00-10-244--2.pets.default.~ AAAA', 'fd00:10:244::2'],
  ['10-244-1-6.portless.default.~ A', '10.244.1.6'],
  // 2.4.2 SRV of endpoints and named ports
  [
    '_http._tcp.pets.default.~ SRV',
    '0 100 8080 10-244-1-2.pets.default.~',
    '0 100 8080 fd00-10-244--2.pets.default.~',
    '0 100 8080 rex.pets.default.~',
  ],
  ['_http._tcp.twins.default.~ SRV', '0 100 80 twin.twins.default.~'],
  ['twin.twins.default.~ SRV', '0 100 80 twin.twins.default.~'],
  ['rex.pets.default.~ SRV', '0 100 8080 rex.pets.default.~', '0 100 9000 rex.pets.default.~'],
  // 2.4.3 PTR of endpoints
  ['2.1.244.10.in-addr.arpa PTR', '10-244-1-2.pets.default.~'],
  ['3.2.244.10.in-addr.arpa PTR', 'rex.pets.default.~'],
  ['8.1.244.10.in-addr.arpa PTR', 'twin.twins.default.~'],
  ['2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.4.4.2.0.0.1.0.0.0.0.d.f.ip6.arpa PTR', 'fd00-10-244--2.pets.default.~'],
  // 2.5 aliases
  ['search-engine.shop.~ CNAME', 'search.example.com'],
  ['inner.shop.~ CNAME', 'hello-service.default.~'],
  ['inner.shop.~ A', 'inner.shop.~ CNAME hello-service.default.~', 'hello-service.default.~ A 10.96.0.20'],
  [
    'chain.shop.~ A',
    'chain.shop.~ CNAME inner.shop.~',
    'inner.shop.~ CNAME hello-service.default.~',
    'hello-service.default.~ A 10.96.0.20',
  ],
  [
    'to-pets.shop.~ A',
    'to-pets.shop.~ CNAME pets.default.~',
    'pets.default.~ A 10.244.1.2',
    'pets.default.~ A 10.244.2.3',
  ],
  // 2.6 addresses of Pods, spelled
  ['10-244-1-2.default.pod.% A', '10.244.1.2'],
  ['192-0-2-1.vacant.pod.% A', '192.0.2.1'],
  ['fd00-10-244--2.default.pod.% AAAA', 'fd00:10:244::2'],
  // The apex, and the server's own name
  ['% NS', 'ns.dns.%'],
  ['% SOA', 'ns.dns.% hostmaster.%'],
  ['ns.dns.% A', '10.96.0.10'],
  // RFC 8482: any is answered with something
  ['hello-service.default.~ ANY', 'hello-service.default.~ A 10.96.0.20'],
  ['inner.shop.~ ANY', 'inner.shop.~ CNAME hello-service.default.~'],
  ['10-244-1-2.default.pod.% ANY', '10-244-1-2.default.pod.% A 10.244.1.2'],
];

/** Names that exist without data of the type. */
const noData: readonly string[] = [
  '% A',
  '% AAAA',
  '~ A',
  '~ SOA',
  '~ NS',
  'pod.% A',
  'dns.% A',
  'ns.dns.% AAAA',
  'dns-version.% A',
  'default.~ A',
  'default.~ SRV',
  'kube-system.~ AAAA',
  'vacant.~ A',
  'vacant.pod.% A',
  'hello-service.default.~ AAAA',
  'hello-service.default.~ TXT',
  'hello-service.default.~ MX',
  'hello-service.default.~ NS',
  'hello-service.default.~ SOA',
  'hello-service.default.~ CNAME',
  'hello-service.default.~ PTR',
  'hello-service.default.~ TYPE65',
  'six.default.~ A',
  '_tcp.hello-service.default.~ A',
  '_udp.hello-service.default.~ SRV',
  '_tcp.pets.default.~ SRV',
  '_http._tcp.hello-service.default.~ A',
  'rex.pets.default.~ TXT',
  '10-244-1-2.pets.default.~ AAAA',
  '10-244-1-2.default.pod.% AAAA',
  '10-244-1-2.default.pod.% TXT',
];

/** Names that do not exist. */
const noName: readonly string[] = [
  'foo.% A',
  'foo.% NS',
  'foo.~ A',
  'foo.default.~ A',
  'foo.default.~ SRV',
  'hello-service.vacant.~ A',
  'hello-service.no-such-namespace.~ A',
  '*.default.~ A',
  'hello-service.*.~ A',
  '*.% A',
  'default.default.~ A',
  'sub.hello-service.default.~ A',
  '10-244-1-9.hello-service.default.~ A',
  '_http._udp.hello-service.default.~ SRV',
  '_https._tcp.hello-service.default.~ SRV',
  '_http._tcp._tcp.hello-service.default.~ SRV',
  '_80._tcp.unnamed.default.~ SRV',
  '_tcp.unnamed.default.~ A',
  // Not ready, so not there
  'sleepers.default.~ A',
  '10-244-1-5.sleepers.default.~ A',
  '_http._tcp.sleepers.default.~ SRV',
  'tom.pets.default.~ A',
  '10-244-2-3.pets.default.~ A',
  // Without an address yet, without a Service, without a name to lead to
  'pending.default.~ A',
  'no-such-service.default.~ A',
  '10-244-1-99.no-such-service.default.~ A',
  'digits.shop.~ A',
  'sub.search-engine.shop.~ A',
  // Pods
  '10-244-1-2.no-such-namespace.pod.% A',
  '10-244-1.default.pod.% A',
  '10-244-1-256.default.pod.% A',
  'hello.default.pod.% A',
  'a.10-244-1-2.default.pod.% A',
  // What a search path makes of other names
  'google.com.default.~ A',
  'google.com.~ AAAA',
  'google.com.% A',
];

function split(question: string): { name: string; type: string } {
  const [name = '', type = ''] = full(question).split(' ');
  return { name, type: type === 'TYPE65' ? 'UNKNOWN_65' : type };
}

describe('Responder', () => {
  test.each(positive)('answers %s', async (question, ...answers) => {
    const { name, type } = split(question);
    const expected = answers.map(full).map((data) => (/ [A-Z]+ /.test(data) ? data : `${name} ${type} ${data}`));
    const reply = await ask(responder, { name, type });
    expect(rcodeOf(reply)).toBe('NOERROR');
    expect(lines(reply.answers)).toEqual(expected.sort());
    expect(lines(reply.authorities)).toEqual([]);
    expect(reply).toMatchObject({ id: 4711, flag_qr: true, flag_aa: true, flag_tc: false, flag_rd: true });
  });

  test.each(noData)('answers %s with no data', async (question) => {
    const reply = await ask(responder, split(question));
    expect(rcodeOf(reply)).toBe('NOERROR');
    expect(reply.answers).toEqual([]);
    expect(lines(reply.authorities)).toEqual([soa]);
    expect(reply.flag_aa).toBe(true);
  });

  test.each(noName)('answers %s with no such name', async (question) => {
    const reply = await ask(responder, split(question));
    expect(rcodeOf(reply)).toBe('NXDOMAIN');
    expect(reply.answers).toEqual([]);
    expect(lines(reply.authorities)).toEqual([soa]);
    expect(reply.flag_aa).toBe(true);
  });

  test('says with a denial how long it holds', async () => {
    const [record] = (await ask(responder, { name: 'foo.cluster.local', type: 'A' })).authorities ?? [];
    expect(record).toMatchObject({ ttl: 5, data: { minimum: 5, refresh: 7200, retry: 1800, expire: 86_400 } });
  });

  test('gives records 5 seconds, and the schema version eight hours', async () => {
    const ttlOf = async (name: string, type: string) =>
      (await ask(responder, { name, type })).answers?.map((record) => (record as { ttl?: number }).ttl);
    expect(await ttlOf('pets.default.svc.cluster.local', 'A')).toEqual([5, 5]);
    expect(await ttlOf('dns-version.cluster.local', 'TXT')).toEqual([28_800]);
  });

  test('puts an alias before what it leads to', async () => {
    const reply = await ask(responder, { name: 'chain.shop.svc.cluster.local', type: 'A' });
    expect(reply.answers?.map(({ type }) => type)).toEqual(['CNAME', 'CNAME', 'A']);
  });

  test('denies the end of an alias, not the alias', async () => {
    const gone = await ask(responder, { name: 'nowhere.shop.svc.cluster.local', type: 'A' });
    expect(rcodeOf(gone)).toBe('NXDOMAIN');
    expect(lines(gone.answers)).toEqual(['nowhere.shop.svc.cluster.local CNAME gone.default.svc.cluster.local']);
    expect(lines(gone.authorities)).toEqual([soa]);
    const empty = await ask(responder, { name: 'inner.shop.svc.cluster.local', type: 'AAAA' });
    expect(rcodeOf(empty)).toBe('NOERROR');
    expect(lines(empty.authorities)).toEqual([soa]);
  });

  test('gives up on an alias that leads to itself', async () => {
    expect(rcodeOf(await ask(responder, { name: 'ring.shop.svc.cluster.local', type: 'A' }))).toBe('SERVFAIL');
  });

  test.each([
    ['_http._tcp.dual.default.~', ['dual.default.~ A 10.96.0.30', 'dual.default.~ AAAA fd00:10:96::30']],
    ['_http._tcp.twins.default.~', ['twin.twins.default.~ A 10.244.1.7', 'twin.twins.default.~ A 10.244.1.8']],
    [
      '_http._tcp.pets.default.~',
      [
        '10-244-1-2.pets.default.~ A 10.244.1.2',
        'fd00-10-244--2.pets.default.~ AAAA fd00:10:244::2',
        'rex.pets.default.~ A 10.244.2.3',
        'rex.pets.default.~ AAAA fd00:10:244::3',
      ],
    ],
  ])('adds to SRV of %s the addresses of its hosts, each once', async (name, expected) => {
    const reply = await ask(responder, { name: full(name), type: 'SRV' });
    expect(lines(reply.additionals)).toEqual(expected.map(full));
  });

  test('adds to NS the address of the server', async () => {
    const reply = await ask(responder, { name: 'cluster.local', type: 'NS' });
    expect(lines(reply.additionals)).toEqual(['ns.dns.cluster.local A 10.96.0.10']);
  });

  test('takes a name in any case and repeats it in that case', async () => {
    const name = 'HELLO-Service.DefaulT.svc.Cluster.LOCAL';
    const reply = await ask(responder, { name, type: 'A' });
    expect(reply.questions?.[0]?.name).toBe(name);
    expect(lines(reply.answers)).toEqual([`${name} A 10.96.0.20`]);
    const denial = await ask(responder, { name: 'Foo.DEFAULT.svc.Cluster.LOCAL', type: 'A' });
    expect(denial.authorities?.[0]?.name).toBe('Cluster.LOCAL');
  });

  test('begins with each record of a set in turn', async () => {
    const first = async () => {
      const reply = await ask(responder, { name: 'twins.default.svc.cluster.local', type: 'A' });
      return (reply.answers?.[0] as { readonly data: string } | undefined)?.data;
    };
    const seen = [await first(), await first(), await first(), await first()];
    expect(new Set(seen)).toEqual(new Set(['10.244.1.7', '10.244.1.8']));
    expect(seen[0]).not.toBe(seen[1]);
  });

  test('fails for its own names until it has seen all objects', async () => {
    const early = responderOf({ zone: exampleZone(), isReady: false });
    for (const name of ['hello-service.default.svc.cluster.local', 'foo.cluster.local', '1.0.96.10.in-addr.arpa'])
      expect(rcodeOf(await ask(early, { name, type: 'A' }))).toBe('SERVFAIL');
  });

  test('refuses names of others, where it has no one to ask', async () => {
    for (const name of ['example.com', 'local', 'notcluster.local', '1.2.0.192.in-addr.arpa'])
      expect(rcodeOf(await ask(responder, { name, type: 'A' }))).toBe('REFUSED');
  });

  test.each([
    ['AXFR', 252, 1, rcode.REFUSED],
    ['IXFR', 251, 1, rcode.REFUSED],
    ['TSIG', 250, 1, rcode.NOTIMP],
    ['MAILB', 253, 1, rcode.NOTIMP],
    ['OPT', 41, 1, rcode.FORMERR],
    ['type 0', 0, 1, rcode.FORMERR],
    ['class CHAOS', 16, 3, rcode.REFUSED],
    ['class ANY', 1, 255, rcode.REFUSED],
  ])('answers %s with its code', async (_what, type, dnsClass, expected) => {
    const packet = questionPacket({ name: 'cluster.local', type: 'A' });
    packet.writeUInt16BE(type, packet.length - 4);
    packet.writeUInt16BE(dnsClass, packet.length - 2);
    const reply = await answerTo(responder, packet, 'tcp');
    expect(reply?.readUInt16BE(2)).toBe(0x8100 | expected);
  });
});

describe('Responder: protocol', () => {
  const big = emptyZone();
  big.setService('default/big', service(['None'], 'http:80'));
  big.setEndpointSlice(
    'default/big-a',
    slice(
      'big',
      Array.from({ length: 100 }, (_, i) => `10.244.1.${i + 1}`),
      'http:80',
    ),
  );
  const name = 'big.default.svc.cluster.local';

  test.each([
    [undefined, 512],
    [512, 512],
    [1000, 1000],
    [1232, 1232],
    [4096, 1232],
    [65_535, 1232],
  ])('keeps to %s octets offered: %i', async (udpSize, limit) => {
    const asked = { name, type: 'A', ...(udpSize === undefined ? {} : { udpSize }) };
    const reply = await answerTo(responderOf({ zone: big }), questionPacket(asked));
    expect(reply?.length).toBeLessThanOrEqual(limit);
    expect(reply?.length).toBeGreaterThan(limit - 16);
    const decoded = await ask(responderOf({ zone: big }), asked);
    expect(decoded.flag_tc).toBe(true);
    expect(new Set(lines(decoded.answers)).size).toBe(decoded.answers?.length);
  });

  test('gives all over TCP', async () => {
    const reply = await ask(responderOf({ zone: big }), { name, type: 'A', transport: 'tcp' });
    expect(reply.flag_tc).toBe(false);
    expect(new Set(lines(reply.answers)).size).toBe(100);
    const srv = await ask(responderOf({ zone: big }), { name, type: 'SRV', transport: 'tcp' });
    expect([srv.answers?.length, srv.additionals?.length]).toEqual([100, 100]);
  });

  test('leaves additional records out without a word, answers with one', async () => {
    const zone = emptyZone();
    zone.setService('default/some', service(['None'], 'http:80'));
    const hosts = Array.from({ length: 7 }, (_, i) => `10.244.1.${i}@host-${i}`);
    zone.setEndpointSlice('default/some-a', slice('some', hosts, 'http:80'));
    const reply = await ask(responderOf({ zone }), { name: '_http._tcp.some.default.svc.cluster.local', type: 'SRV' });
    expect(reply.answers).toHaveLength(7);
    expect(reply.additionals?.length).toBeLessThan(7);
    expect(reply.flag_tc).toBe(false);
  });

  test('ends its answer with OPT for who sent one, and only then', async () => {
    const asked = { name: 'kubernetes.default.svc.cluster.local', type: 'A' };
    expect((await ask(responder, asked)).additionals).toEqual([]);
    const [opt] = (await ask(responder, { ...asked, udpSize: 1400 })).additionals ?? [];
    expect(opt).toMatchObject({ type: 'OPT', name: '.', udpPayloadSize: 1232, ednsVersion: 0, extendedRcode: 0 });
    const denial = await ask(responder, { name: 'foo.cluster.local', type: 'A', udpSize: 1400 });
    expect(denial.additionals).toHaveLength(1);
  });

  test('says BADVERS to an EDNS of the future', async () => {
    const packet = questionPacket({ name: 'cluster.local', type: 'A', udpSize: 1232 });
    packet[packet.length - 5] = 1;
    const reply = await answerTo(responder, packet);
    expect((reply?.[3] ?? 0) & 0xf).toBe(0);
    // The upper bits of 16, in the OPT record.
    expect(reply?.at(-6)).toBe(1);
  });

  test('repeats RD and CD, never TC, AD or Z of the question', async () => {
    const packet = questionPacket({ name: 'kubernetes.default.svc.cluster.local', type: 'A' });
    packet.writeUInt16BE(0x0300 | 0x0020 | 0x0010 | 0x0040, 2);
    const reply = await answerTo(responder, packet);
    expect(reply?.readUInt16BE(2)).toBe(0x8000 | 0x0400 | 0x0100 | 0x0010);
  });

  test('answers what it cannot read with a header alone', async () => {
    const packet = questionPacket({ name: 'cluster.local', type: 'A' });
    packet[2] = 0x29;
    expect((await answerTo(responder, packet))?.toString('hex')).toBe(`1267a904${'0'.repeat(16)}`);
    expect((await answerTo(responder, packet.subarray(0, 14)))?.readUInt16BE(2)).toBe(0xa904);
    packet[2] = 0x01;
    expect((await answerTo(responder, packet.subarray(0, 14)))?.readUInt16BE(2)).toBe(0x8101);
  });

  test('gives its memory away where asked', async () => {
    const packet = questionPacket({ name: 'kubernetes.default.svc.cluster.local', type: 'A' });
    const replies: Buffer[] = [];

    for (let id = 0; id < 2; id++) {
      packet.writeUInt16BE(id, 0);
      responder.answer(packet, someone, (reply) => {
        replies.push(reply);
        responder.keepReply();
      });
    }
    expect(replies.map((reply) => reply.readUInt16BE(0))).toEqual([0, 1]);
  });
});
