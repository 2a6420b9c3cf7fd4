import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { describe, expect, test } from 'vitest';
import { questionPacket, someone } from './testing/ask.ts';
import { exampleZone } from './testing/cluster.ts';
import { responderOf } from './testing/responder.ts';
import { soa } from './testing/servers.ts';
import { headerLength, rcode } from './wire/constants.ts';
import { rootName } from './wire/name.ts';
import { parseQuery } from './wire/query.ts';
import { readResponse } from './wire/response.ts';

/** How many packets, and which: `FUZZ=1000000` is a long run, `FUZZ_SEED` repeats one. */
const packets = Number(process.env.FUZZ ?? 200_000);
const firstSeed = Number(process.env.FUZZ_SEED ?? Date.now() % 0x7fff_ffff) || 1;
const maxUdpSize = 1232;

const transfer = [{ zones: [rootName], to: '*' as const, notify: [] }];
const responder = responderOf({ zone: exampleZone(), maxUdpSize, transfer });

const seeds = [
  questionPacket({ name: 'hello-service.default.svc.cluster.local', type: 'A' }),
  questionPacket({ name: 'pets.default.svc.cluster.local', type: 'AAAA', udpSize: 4096 }),
  questionPacket({ name: '_http._tcp.pets.default.svc.cluster.local', type: 'SRV', udpSize: 1232 }),
  questionPacket({ name: 'chain.shop.svc.cluster.local', type: 'A', udpSize: 512 }),
  questionPacket({ name: '10-244-1-2.default.pod.cluster.local', type: 'A' }),
  questionPacket({ name: '2.1.244.10.in-addr.arpa', type: 'PTR' }),
  questionPacket({ name: 'foo.cluster.local', type: 'SOA', udpSize: 1232 }),
  questionPacket({ name: 'cluster.local', type: 'IXFR' }, { authorities: [soa('cluster.local', 5)] }),
  questionPacket({ name: 'cluster.local', type: 'ANY', udpSize: 65_535 }),
];

/** Numbers that are the same in every run (xorshift32). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % below;
  };
}

/** A seed with a few octets changed, or cut, or lengthened, or with a pointer put into it. */
function mutated(draw: (below: number) => number): Buffer {
  const seed = seeds[draw(seeds.length)] ?? Buffer.alloc(0);
  const packet = Buffer.concat([seed, Buffer.alloc(draw(8) === 0 ? draw(600) : 0, draw(256))]);
  for (let i = draw(6); i > 0; i--) packet[draw(packet.length)] = draw(256);
  if (draw(4) === 0) packet.writeUInt16BE(0xc000 | draw(packet.length), draw(packet.length - 1));
  return draw(4) === 0 ? packet.subarray(0, draw(packet.length)) : packet;
}

/** What is wrong with a reply to a packet, if anything. */
function complaint(packet: Buffer, reply: Buffer, transport: 'udp' | 'tcp'): string | undefined {
  const problem = parseQuery(packet)?.problem;
  const code = (reply[3] ?? 0) & 0x0f;
  if (reply.readUInt16BE(0) !== packet.readUInt16BE(0)) return 'another id';
  if (((reply[2] ?? 0) & 0x80) === 0) return 'not an answer';
  if (problem !== undefined && problem !== rcode.BADVERS)
    return reply.length === headerLength && code === problem ? undefined : 'a malformed query, and more than its code';
  if (transport === 'udp' && reply.length > maxUdpSize) return 'larger than allowed';
  return readResponse(reply) === undefined ? 'malformed' : undefined;
}

const collectGarbage = (() => {
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
})();

function heapUsed(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

describe('Responder', () => {
  const draw = numbers(firstSeed);
  const codes = new Map<number, number>();
  let unanswered = 0;

  function tryOne(): void {
    const packet = mutated(draw);
    const transport: 'tcp' | 'udp' = draw(8) === 0 ? 'tcp' : 'udp';
    let replies = 0;
    const take = (reply: Buffer) => {
      replies++;
      const wrong = complaint(packet, reply, transport);
      if (wrong !== undefined) expect.fail(`${wrong}: ${packet.toString('hex')} → ${reply.toString('hex')}`);
      const code = (reply[3] ?? 0) & 0x0f;
      codes.set(code, (codes.get(code) ?? 0) + 1);
    };
    const stream = (messages: Iterable<Buffer>) => [...messages].forEach(take);
    const client = transport === 'udp' ? someone : { ...someone, transport, stream };
    const comes = responder.answer(packet, client, take);
    if (comes ? replies === 0 : replies > 0) expect.fail(`${replies} replies to ${packet.toString('hex')}`);
    if (!comes) unanswered++;
  }

  test(`answers ${packets} mutated packets as the RFCs say, or not at all (FUZZ_SEED=${firstSeed})`, () => {
    for (let i = 0; i < packets / 2; i++) tryOne();
    const before = heapUsed();
    for (let i = 0; i < packets / 2; i++) tryOne();
    expect(heapUsed() - before).toBeLessThan(2 << 20);
    // All kinds were met, or the mutations would not be worth much.
    expect(unanswered).toBeGreaterThan(packets / 1000);
    for (const code of [rcode.NOERROR, rcode.FORMERR, rcode.NXDOMAIN, rcode.NOTIMP, rcode.REFUSED])
      expect(codes.get(code) ?? 0).toBeGreaterThan(packets / 1000);
    expect(codes.get(rcode.SERVFAIL)).toBeUndefined();
  }, 600_000);
});
