import { randomFillSync } from 'node:crypto';
import { flag, headerLength, recordClass, recordType } from '../wire/constants.ts';
import type { Name } from '../wire/name.ts';
import type { Response } from '../wire/response.ts';

/** What another server is asked. */
export interface Question {
  readonly name: Name;
  readonly type: number;
  /** The client's flag word; RD and CD go along. */
  readonly flags: number;
  /** Whether DNSSEC records are wanted with the answer. */
  readonly dnssecOk: boolean;
  /** How the client came; other servers are asked likewise, unless they are to be asked otherwise. */
  readonly transport: 'udp' | 'tcp';
}

/** How one server is asked once. */
export interface AskOptions {
  readonly timeoutMs: number;
  /** Whether the question has an OPT record: some servers refuse what they do not know (RFC 6891 §7). */
  readonly edns: boolean;
}

/** The largest UDP answer taken from another server: what passes any link unfragmented. */
const udpSize = 1232;

/** Equal for questions that have the same answer. */
export function questionKey({ name, type, flags, dnssecOk }: Question): string {
  const bits = (flags & (flag.RD | flag.CD)) | (dnssecOk ? 1 : 0);
  return name + String.fromCharCode(type, bits);
}

/** The query message that asks it; without EDNS for servers that do not know it. */
export function writeQuestion({ name, type, flags, dnssecOk }: Question, id: number, edns: boolean): Buffer {
  const message = Buffer.alloc(headerLength + name.length + 4 + (edns ? 11 : 0));
  message.writeUInt16BE(id, 0);
  // AD: whoever checks signatures is to say whether it did (RFC 6840 §5.7). Not every client wants to know.
  message.writeUInt16BE((flags & (flag.RD | flag.CD)) | flag.AD, 2);
  message.writeUInt16BE(1, 4);
  message.writeUInt16BE(edns ? 1 : 0, 10);
  let at = headerLength + message.write(name, headerLength, 'latin1');
  at = message.writeUInt16BE(type, at);
  at = message.writeUInt16BE(recordClass.IN, at);
  if (!edns) return message;
  // OPT: the root's name, type, size taken, and DO as the highest bit of the last flag word.
  at = message.writeUInt16BE(recordType.OPT, at + 1);
  at = message.writeUInt16BE(udpSize, at);
  message.writeUInt16BE(dnssecOk ? 0x8000 : 0, at + 2);
  return message;
}

/** Whether a response says that it answers this question. */
export function answersQuestion(response: Response, { name, type }: Question): boolean {
  const { question } = response;
  return question.name === name && question.type === type && question.class === recordClass.IN;
}

const idPool = new Uint16Array(512);
let idsLeft = 0;

/** A number for a query that nobody outside can foretell (RFC 5452 §9.2). */
export function randomId(): number {
  if (idsLeft === 0) {
    randomFillSync(idPool);
    idsLeft = idPool.length;
  }
  return idPool[--idsLeft] ?? 0;
}
