import { classicUdpLimit, flag, headerLength, opcode, opcodeMask, rcode, recordType } from './constants.ts';
import { foldCase, type Name, readName, rootName } from './name.ts';

/** What a client says about itself in its OPT record (RFC 6891 §6.1). */
interface Edns {
  /** The largest UDP message it takes, in octets; never below 512. */
  readonly udpSize: number;
  readonly version: number;
  /** It wants DNSSEC records with the answer (RFC 3225). */
  readonly dnssecOk: boolean;
}

/** A client's query. With a `problem`, only `id` and `flags` can be relied on, and `questionEnd` is 12. */
export interface Query {
  readonly id: number;
  /** The header's flag word as it came. */
  readonly flags: number;
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  /** Where the question section ends: the octets from 12 to here are the question as asked, in its own case. */
  readonly questionEnd: number;
  readonly edns: Edns | undefined;
  /** Why no answer can be looked up: the response code to give. */
  readonly problem: number | undefined;
}

/**
 * Reads a query. `undefined` when nothing must be said in return: the packet has no header, or is itself an answer
 * (answering answers is how two servers talk for ever). Never throws.
 */
export function parseQuery(packet: Buffer): Query | undefined {
  if (packet.length < headerLength) return undefined;
  const flags = word(packet, 2);
  if ((flags & flag.QR) !== 0) return undefined;
  if ((flags & opcodeMask) >> 11 !== opcode.QUERY) return rejected(packet, rcode.NOTIMP);
  // One question, and besides it at most an OPT and a signature; an IXFR brings its SOA in the authority section.
  if (word(packet, 4) !== 1 || word(packet, 6) !== 0 || word(packet, 8) > 1 || word(packet, 10) > 2)
    return rejected(packet, rcode.FORMERR);

  const nameEnd = plainNameEnd(packet);
  if (nameEnd === 0 || nameEnd + 4 > packet.length) return rejected(packet, rcode.FORMERR);
  const edns = readEdns(packet, nameEnd + 4);
  if (edns === 'malformed') return rejected(packet, rcode.FORMERR);
  return {
    id: word(packet, 0),
    flags,
    name: foldCase(packet.toString('latin1', headerLength, nameEnd)) as Name,
    type: word(packet, nameEnd),
    class: word(packet, nameEnd + 2),
    questionEnd: nameEnd + 4,
    edns,
    problem: edns !== undefined && edns.version > 0 ? rcode.BADVERS : undefined,
  };
}

function rejected(packet: Buffer, problem: number): Query {
  return {
    id: word(packet, 0),
    flags: word(packet, 2),
    name: rootName,
    type: 0,
    class: 0,
    questionEnd: headerLength,
    edns: undefined,
    problem,
  };
}

/** The end of the question's name, 0 if it is malformed. There is nothing before it that a pointer could lead to. */
function plainNameEnd(packet: Buffer): number {
  let at = headerLength;
  for (;;) {
    const length = packet[at];
    if (length === undefined || length > 63) return 0;
    at += length + 1;
    if (at - headerLength > 255) return 0;
    if (length === 0) return at;
  }
}

/** The OPT record among what follows the question. Octets after the counted records are let be. */
function readEdns(packet: Buffer, start: number): Edns | undefined | 'malformed' {
  const records = word(packet, 8) + word(packet, 10);
  let edns: Edns | undefined;
  let at = start;
  for (let i = 0; i < records; i++) {
    const owner = readName(packet, at);
    if (owner === undefined || owner.end + 10 > packet.length) return 'malformed';
    const body = owner.end;
    at = body + 10 + word(packet, body + 8);
    if (at > packet.length) return 'malformed';
    if (word(packet, body) !== recordType.OPT) continue;
    if (edns !== undefined || owner.name !== rootName) return 'malformed';
    edns = {
      udpSize: Math.max(classicUdpLimit, word(packet, body + 2)),
      version: packet[body + 5] ?? 0,
      dnssecOk: ((packet[body + 6] ?? 0) & 0x80) !== 0,
    };
  }
  return edns;
}

/** The 16-bit integer at an offset; the caller has seen that it is inside. */
function word(packet: Buffer, at: number): number {
  return ((packet[at] ?? 0) << 8) | (packet[at + 1] ?? 0);
}
