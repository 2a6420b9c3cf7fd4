import type { Exchange } from '../exchange.ts';
import type { Forwarded, ForwardedAnswer, Forwarder } from '../forward/forwarder.ts';
import { flag, rcode, recordType } from '../wire/constants.ts';
import { isWithin, type Name } from '../wire/name.ts';
import type { ReplyWriter } from '../wire/reply-writer.ts';
import { detachRecord, type PlacedRecord, type Response } from '../wire/response.ts';
import type { Handler } from './order.ts';

/** Which names are asked of whom. */
export interface ForwardHandlerOptions {
  readonly from: Name;
  readonly except: readonly Name[];
  readonly forwarder: Forwarder;
  /** Answers for which those after this one are asked: their response codes, and those without records. */
  readonly next?: readonly number[];
  readonly nextOnNoData?: boolean;
  /** The block's next one, which is asked then, if it takes the name, or else the one after that. */
  readonly after?: ForwardHandler | undefined;
  /** Whether the addresses of an answer take turns at being first. */
  readonly loadbalance: boolean;
}

/** Answers with what other servers say. */
export class ForwardHandler implements Handler {
  readonly #options: ForwardHandlerOptions;
  #turn = 0;

  constructor(options: ForwardHandlerOptions) {
    this.#options = options;
  }

  handle(exchange: Exchange): boolean {
    const { query, name } = exchange;
    const { from, except, forwarder } = this.#options;
    if (!isWithin(name, from) || except.some((zone) => isWithin(name, zone))) return false;
    if (query.type === recordType.HINFO && forwarder.sawProbe(name)) {
      exchange.fail(rcode.REFUSED, '');
      return true;
    }
    const dnssecOk = query.edns?.dnssecOk === true;
    const { transport } = exchange.incoming.client;
    const answer = forwarder.resolve({ name, type: query.type, flags: query.flags, dnssecOk, transport });
    if (answer instanceof Promise) exchange.goOn(answer, (forwarded) => this.#pass(exchange, forwarded));
    else this.#pass(exchange, answer);
    return true;
  }

  #pass(exchange: Exchange, forwarded: Forwarded): void {
    if (this.#isForNext(forwarded) && this.#options.after?.takes(exchange) === true) return;
    pass(exchange, forwarded, this.#options.loadbalance ? this.#turn++ : 0);
  }

  /** Whether it, or one after it, has taken the name. */
  takes(exchange: Exchange): boolean {
    return this.handle(exchange) || this.#options.after?.takes(exchange) === true;
  }

  #isForNext(forwarded: Forwarded): boolean {
    const { next = [], nextOnNoData = false } = this.#options;
    if (forwarded.kind === 'failure') return false;
    const { rcode: code, answer } = forwarded.response;
    return next.includes(code) || (nextOnNoData && code === rcode.NOERROR && answer.length === 0);
  }
}

/** Passes another server's answer on; its addresses, from the one whose turn it is. */
function pass(exchange: Exchange, forwarded: Forwarded, turn: number): void {
  if (forwarded.kind === 'failure') {
    exchange.fail(forwarded.rcode, 'forward', forwarded.problem);
    return;
  }
  const owner = exchange.begin();
  if (exchange.isAliased) {
    // The name that was asked for is the cluster's own, and so is the answer's first part.
    exchange.writer.setFlags(flag.AA);
    writeContinued(exchange, forwarded, owner);
  } else {
    writeMessage(exchange, forwarded, turn);
    if (asksForAd(exchange)) exchange.writer.setFlags(forwarded.response.flags & flag.AD);
  }
  exchange.writer.setFlags(forwarded.response.flags & flag.TC);
  exchange.finish(forwarded.response.rcode, forwarded.cached ? 'cache' : 'forward');
}

function writeMessage({ writer }: Exchange, { response, ttl }: ForwardedAnswer, turn: number): void {
  const { answer, authority, additional, message } = response;
  writer.recordsOf(message, { answer, authority, additional });
  const isWritten = ({ dataEnd }: PlacedRecord) => dataEnd <= writer.offset;
  for (const placed of answer)
    if (placed.owner === response.question.name && isWritten(placed)) writer.repeatCase(placed.ownerAt);
  rotate(writer, response, turn);
  if (ttl === undefined) return;
  for (const section of [answer, authority, additional])
    for (const placed of section) if (isWritten(placed)) writer.overwrite(placed.ttlAt, ttl);
}

/** Whether a client wants to know that signatures were checked (RFC 6840 §5.8); others may stumble over a flag they do not know. */
function asksForAd({ query }: Exchange): boolean {
  return (query.flags & flag.AD) !== 0 || query.edns?.dnssecOk === true;
}

/** What another server says of the name that aliases of ours led to, which stands at `owner`. */
function writeContinued({ writer }: Exchange, { response, ttl }: ForwardedAnswer, owner: number): void {
  const known = new Map<Name, number>([[response.question.name, owner]]);
  for (const section of ['answer', 'authority'] as const) {
    for (const placed of response[section]) {
      const body = detachRecord(response.message, placed);
      if (body === undefined) continue;
      const aged = { ...body, ttl: ttl ?? body.ttl };
      const data = writer.record(section, known.get(placed.owner) ?? placed.owner, aged);
      if (body.type === recordType.CNAME) known.set(body.rdata as string as Name, data);
    }
  }
}

/** Has the addresses of one name trade their places, also with those that did not fit: their data are of one length. */
function rotate(writer: ReplyWriter, { answer, message, question }: Response, turn: number): void {
  if (question.type !== recordType.A && question.type !== recordType.AAAA) return;
  const addresses = answer.filter(({ type }) => type === question.type);
  const [first] = addresses;
  if (first === undefined || turn % addresses.length === 0) return;
  const isAlike = ({ owner, dataAt, dataEnd }: PlacedRecord) =>
    owner === first.owner && dataEnd - dataAt === first.dataEnd - first.dataAt;
  if (!addresses.every(isAlike)) return;
  for (const [i, { dataAt, dataEnd }] of addresses.entries()) {
    if (dataEnd > writer.offset) break;
    const from = addresses[(i + turn) % addresses.length] ?? first;
    writer.overwriteOctets(dataAt, message, { start: from.dataAt, end: from.dataEnd });
  }
}
