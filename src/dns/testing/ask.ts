import { type DecodedPacket, decode, encode, type Packet, type RecordType } from 'dns-packet';
import type { Responder } from '../answer.ts';
import type { Client } from '../metrics.ts';

/** For tests: a question as its text, and what may be said besides. */
export interface Asked {
  readonly name: string;
  readonly type: string;
  readonly transport?: 'udp' | 'tcp';
  /** With an OPT record that offers this size. */
  readonly udpSize?: number;
}

/** For tests: the packet of a question. */
export function questionPacket({ name, type, udpSize }: Asked, rest: Partial<Packet> = {}): Buffer {
  return encode({
    type: 'query',
    id: 4711,
    flags: 0x0100,
    questions: [{ name, type: type as RecordType }],
    ...(udpSize === undefined
      ? {}
      : { additionals: [{ type: 'OPT', name: '.', udpPayloadSize: udpSize, flags: 0, options: [] } as never] }),
    ...rest,
  });
}

/** For tests: a client. */
export const someone: Client = { transport: 'udp', family: 'IPv4', address: '127.0.0.1', port: 4711 };

/** For tests: the raw answer to a packet, `undefined` where there is none. */
export function answerTo(
  responder: Responder,
  packet: Buffer,
  transport: 'udp' | 'tcp' = 'udp',
): Promise<Buffer | undefined> {
  return new Promise((resolve) => {
    const comes = responder.answer(packet, { ...someone, transport }, (reply) => resolve(Buffer.from(reply)));
    if (!comes) resolve(undefined);
  });
}

/** For tests: the answer, read by the reference implementation. */
export async function ask(responder: Responder, asked: Asked): Promise<DecodedPacket> {
  const reply = await answerTo(responder, questionPacket(asked), asked.transport);
  if (reply === undefined) throw new Error('there was no answer');
  return decode(reply);
}

/** For tests: a record as one line, without its time to live. */
export function line(record: { readonly name: string; readonly type: string; readonly data?: unknown }): string {
  return `${record.name} ${record.type} ${dataText(record.type, record.data)}`;
}

function dataText(type: string, data: unknown): string {
  if (type === 'SRV') {
    const srv = data as { priority: number; weight: number; port: number; target: string };
    return `${srv.priority} ${srv.weight} ${srv.port} ${srv.target}`;
  }
  if (type === 'SOA') return `${(data as { mname: string }).mname} ${(data as { rname: string }).rname}`;
  return Array.isArray(data) ? data.map(String).join(' ') : String(data);
}

/** For tests: the records of a section as lines, in a fixed order, without OPT. */
export function lines(section: DecodedPacket['answers']): string[] {
  return (section ?? [])
    .filter(({ type }) => type !== 'OPT')
    .map((record) => line(record as Parameters<typeof line>[0]))
    .sort();
}

/** For tests: a response code's name. */
export function rcodeOf(packet: DecodedPacket): string {
  return (packet as unknown as { rcode: string }).rcode;
}
