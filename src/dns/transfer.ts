import type { RecordSet } from './name-tree.ts';
import { flag, headerLength, messageLimit, rcode, recordType } from './wire/constants.ts';
import { type Name, readName } from './wire/name.ts';
import type { Query } from './wire/query.ts';
import { withSrvWeight } from './wire/rdata.ts';
import { questionOffset, type RecordBody, ReplyWriter } from './wire/reply-writer.ts';
import type { ClusterZone, Zone } from './zone.ts';
import { srvWeight } from './zone-records.ts';

/** Octets of a message after which no more records are put into it. Pointers reach as far, and a reader's memory is spared. */
const messageSize = 0x3fff;

/** What a transfer is asked with. */
export interface TransferRequest {
  readonly packet: Buffer;
  readonly query: Query;
}

/**
 * The messages of a zone's transfer (RFC 5936): all its records between two copies of its SOA record, as they were when
 * the first message was made, whatever changes meanwhile. A message is valid until the next is asked for. A reader that
 * does not read to the end must say so with `return`, as `for` does.
 */
export function* transferMessages(
  { packet, query }: TransferRequest,
  cluster: ClusterZone,
  zone: Zone,
): Generator<Buffer, void> {
  const writer = new ReplyWriter(messageSize);
  const begin = () => {
    writer.begin(packet, query, messageLimit);
    writer.setFlags(flag.AA);
  };
  const soa = cluster.soa(zone);
  begin();
  writer.record('answer', questionOffset, soa);
  for (const [name, sets] of zone.tree.snapshot()) {
    // Taken as a whole: between two messages the sets may change.
    const bodies = sets.flatMap(bodiesOf);
    let owner: Name | number = name;
    for (const body of bodies) {
      if (writer.offset + name.length + body.rdata.length > messageSize) {
        yield writer.finish(rcode.NOERROR);
        begin();
        owner = name;
      }
      const at = writer.offset;
      writer.record('answer', owner, body);
      if (owner === name) owner = at;
    }
  }
  writer.record('answer', questionOffset, soa);
  yield writer.finish(rcode.NOERROR);
}

function bodiesOf(set: RecordSet): RecordBody[] {
  const { type, ttl } = set;
  const weight = type === recordType.SRV ? srvWeight(set) : undefined;
  return Array.from({ length: set.size }, (_, i) => {
    const rdata = set.at(i);
    return { type, ttl, rdata: weight === undefined ? rdata : withSrvWeight(rdata, weight) };
  });
}

/**
 * Whether a secondary that asks for what has changed (IXFR, RFC 1995) has the zone as it is: its serial number is this
 * one, or a later one by the arithmetic of RFC 1982. `undefined` when it does not say which it has.
 */
export function isUpToDate({ packet, query }: TransferRequest, serial: number): boolean | undefined {
  const theirs = serialOf(packet, query.questionEnd);
  return theirs === undefined ? undefined : ((theirs - serial) | 0) >= 0;
}

/** The serial number in the SOA record of a query's authority section, which comes right after its question. */
function serialOf(packet: Buffer, questionEnd: number): number | undefined {
  if (questionEnd < headerLength || packet.readUInt16BE(8) !== 1) return undefined;
  const owner = readName(packet, questionEnd);
  if (owner === undefined || owner.end + 10 > packet.length) return undefined;
  if (packet.readUInt16BE(owner.end) !== recordType.SOA) return undefined;
  const primary = readName(packet, owner.end + 10);
  const mailbox = primary && readName(packet, primary.end);
  return mailbox === undefined || mailbox.end + 4 > packet.length ? undefined : packet.readUInt32BE(mailbox.end);
}
