import { describe, expect, test } from 'vitest';
import { answerTo, ask, lines, questionPacket, rcodeOf } from './testing/ask.ts';
import { exampleZone } from './testing/cluster.ts';
import { emptyZone, service, slice } from './testing/objects.ts';
import { responderOf } from './testing/responder.ts';
import { rcode } from './wire/constants.ts';

const responder = responderOf({ zone: exampleZone() });
const soa = 'cluster.local SOA ns.dns.cluster.local hostmaster.cluster.local';

describe('Responder', () => {
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

  test('gives an alias as it stands, whatever becomes of its target', async () => {
    const gone = await ask(responder, { name: 'nowhere.shop.svc.cluster.local', type: 'A' });
    expect(rcodeOf(gone)).toBe('NOERROR');
    expect(lines(gone.answers)).toEqual(['nowhere.shop.svc.cluster.local CNAME gone.default.svc.cluster.local']);
    expect(lines(gone.authorities)).toEqual([soa]);
    const empty = await ask(responder, { name: 'inner.shop.svc.cluster.local', type: 'AAAA' });
    expect(rcodeOf(empty)).toBe('NOERROR');
    expect(lines(empty.authorities)).toEqual([soa]);
    // There is nobody to ask for its target.
    const outside = await ask(responder, { name: 'search-engine.shop.svc.cluster.local', type: 'A' });
    expect(outside).toMatchObject({ flag_aa: true, authorities: [] });
    expect(rcodeOf(outside)).toBe('NOERROR');
    expect(lines(outside.answers)).toEqual(['search-engine.shop.svc.cluster.local CNAME search.example.com']);
  });

  test('gives up on an alias that leads to itself', async () => {
    expect(rcodeOf(await ask(responder, { name: 'ring.shop.svc.cluster.local', type: 'A' }))).toBe('SERVFAIL');
  });

  test('takes a name in any case and repeats it in that case', async () => {
    const name = 'HELLO-Service.DefaulT.svc.Cluster.LOCAL';
    const reply = await ask(responder, { name, type: 'A' });
    expect(reply.questions?.[0]?.name).toBe(name);
    expect(lines(reply.answers)).toEqual([`${name} A 10.96.0.20`]);
    const denial = await ask(responder, { name: 'Foo.DEFAULT.svc.Cluster.LOCAL', type: 'A' });
    expect(lines(denial.authorities)).toEqual(['Cluster.LOCAL SOA ns.dns.Cluster.LOCAL hostmaster.Cluster.LOCAL']);
  });

  test('repeats the case of its zone in the names that records lead to', async () => {
    const ports = await ask(responder, { name: '_HTTP._tcp.hello-service.default.SVC.Cluster.LOCAL', type: 'SRV' });
    expect(lines(ports.answers)).toEqual([
      '_HTTP._tcp.hello-service.default.SVC.Cluster.LOCAL SRV 0 100 80 hello-service.default.svc.Cluster.LOCAL',
    ]);
    expect(lines(ports.additionals)).toEqual(['hello-service.default.svc.Cluster.LOCAL A 10.96.0.20']);
    const apex = await ask(responder, { name: 'CLUSTER.local', type: 'NS' });
    expect(lines(apex.answers)).toEqual(['CLUSTER.local NS ns.dns.CLUSTER.local']);
    expect(lines(apex.additionals)).toEqual(['ns.dns.CLUSTER.local A 10.96.0.10']);
    const soaRecord = await ask(responder, { name: 'CLUSTER.local', type: 'SOA' });
    expect(lines(soaRecord.answers)).toEqual(['CLUSTER.local SOA ns.dns.CLUSTER.local hostmaster.CLUSTER.local']);
    // What an alias leads to, and what an address is called, is as it was written.
    const alias = await ask(responder, { name: 'inner.shop.svc.CLUSTER.local', type: 'CNAME' });
    expect(lines(alias.answers)).toEqual([
      'inner.shop.svc.CLUSTER.local CNAME hello-service.default.svc.cluster.local',
    ]);
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
  big.setNamespace('default', true);
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
    zone.setNamespace('default', true);
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
});
