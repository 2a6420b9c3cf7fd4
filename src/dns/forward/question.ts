import { randomFillSync } from 'node:crypto';
import { flag, headerLength, rcode, recordClass, recordType } from '../wire/constants.ts';
import type { Name } from '../wire/name.ts';
import { type Response, readResponse } from '../wire/response.ts';

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

/**
 * Reads a message as the answer to a question; `undefined` when it is none. Who refuses a question may leave it out of
 * the answer, as servers do that cannot read EDNS (RFC 6891 §7): of those the id has to do.
 */
export function readAnswer(message: Buffer, question: Question): Response | undefined {
  const response = readResponse(isBareRefusal(message) ? withQuestion(message, question) : message);
  return response !== undefined && answersQuestion(response, question) ? response : undefined;
}

function answersQuestion({ question }: Response, { name, type }: Question): boolean {
  return question.name === name && question.type === type && question.class === recordClass.IN;
}

/** An error without a question, and without records but for OPT. */
function isBareRefusal(message: Buffer): boolean {
  if (message.length < headerLength || (message.readUInt16BE(2) & 0x0f) === rcode.NOERROR) return false;
  return [4, 6, 8].every((count) => message.readUInt16BE(count) === 0);
}

/** The message with the question it is about. */
function withQuestion(message: Buffer, question: Question): Buffer {
  const asked = writeQuestion(question, 0, false);
  const whole = Buffer.concat([
    message.subarray(0, headerLength),
    asked.subarray(headerLength),
    message.subarray(headerLength),
  ]);
  whole.writeUInt16BE(1, 4);
  return whole;
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
