import { Exchange } from './exchange.ts';
import type { Handler, ServedBlock } from './handlers/order.ts';
import type { Incoming } from './incoming.ts';
import type { AnswerSource, Client, QueryMetrics } from './metrics.ts';
import type { ServedZone } from './served-zone.ts';
import { classicUdpLimit, flag, headerLength, messageLimit, rcode, recordClass, recordType } from './wire/constants.ts';
import { isWithin, type Name, rootName } from './wire/name.ts';
import { parseQuery, type Query } from './wire/query.ts';
import { ReplyWriter } from './wire/reply-writer.ts';

/** What answers at one listening address are made from. */
export interface ResponderOptions {
  readonly blocks: readonly ServedBlock[];
  /** The largest UDP answer, in octets, to clients that take so much. */
  readonly maxUdpSize: number;
  /** Whether clients are told that names are looked up elsewhere for them (RA). */
  readonly isRecursive: boolean;
  /** Where queries are counted that are for no block. */
  readonly dropped: QueryMetrics;
  /** Told of what should not have happened while a query was answered. */
  readonly onCrash: (error: unknown) => void;
}

/** A zone, and who is asked for names in it. */
interface Place {
  readonly zone: ServedZone;
  readonly handlers: readonly Handler[];
}

/**
 * Turns one query into one answer: while the caller waits, or later where another server is asked. The block whose zone
 * is the nearest to the name decides; a name in no block's zone is refused, and so is one that nobody in its block takes.
 */
export class Responder {
  #writer: ReplyWriter;
  #options: ResponderOptions;
  /** The longest zone first. */
  #places: readonly Place[];

  constructor(options: ResponderOptions) {
    this.#options = options;
    this.#writer = new ReplyWriter(options.maxUdpSize);
    this.#places = placesOf(options);
  }

  get writer(): ReplyWriter {
    return this.#writer;
  }

  /** Answers otherwise from now on; queries under way are finished as they began. */
  serve(options: ResponderOptions): void {
    if (options.maxUdpSize !== this.#options.maxUdpSize) this.#writer = new ReplyWriter(options.maxUdpSize);
    this.#options = options;
    this.#places = placesOf(options);
  }

  /**
   * Answers a packet by one call of `send`, perhaps before this returns; `false` when there will be none, because the
   * packet is no query. The packet is not looked at after this has returned. The reply is valid during that call only.
   */
  answer(packet: Buffer, client: Client, send: Incoming['send']): boolean {
    const query = parseQuery(packet);
    if (query === undefined) return false;
    const exchange = new Exchange(this, { packet, query, client, send });
    const refusal = refusalOf(query);
    try {
      if (refusal === undefined) this.resolve(exchange);
      else exchange.fail(refusal, '');
    } catch (error) {
      this.crashed(exchange, error);
    }
    return true;
  }

  /** Answers for what should not have happened: one query fails, and the others are served on. */
  crashed(exchange: Exchange, error: unknown): void {
    this.#options.onCrash(error);
    exchange.abandon(rcode.SERVFAIL, '');
  }

  /** Has the exchange's name answered by whoever has it. */
  resolve(exchange: Exchange): void {
    const place = this.#placeOf(exchange.name, exchange.query.type);
    if (place !== undefined) {
      exchange.zone ??= place.zone;
      for (const handler of place.handlers) if (handler.handle(exchange)) return;
    }
    exchange.fail(rcode.REFUSED, '');
  }

  /** Starts the exchange's reply. */
  begin({ query, incoming }: Exchange): void {
    const limit =
      incoming.client.transport === 'tcp'
        ? messageLimit
        : Math.min(query.edns?.udpSize ?? classicUdpLimit, this.#options.maxUdpSize);
    this.#writer.begin(incoming.packet, query, limit);
    if (this.#options.isRecursive) this.#writer.setFlags(flag.RA);
  }

  /** Sends what has been begun and written; nothing has, for answers that are a response code alone. */
  finish(exchange: Exchange, code: number, source: AnswerSource): void {
    const reply = this.#writer.finish(code);
    exchange.incoming.send(reply);
    this.#note(exchange, { code, source, reply, size: reply.length });
  }

  /** Sends a reply of many messages. It is noted when it has been sent, as far as it was. */
  stream(exchange: Exchange, messages: Generator<Buffer, void>, source: AnswerSource): void {
    const { stream } = exchange.incoming.client;
    if (stream === undefined) exchange.fail(rcode.REFUSED, source);
    else stream(counted(messages, (reply, size) => this.#note(exchange, { code: rcode.NOERROR, source, reply, size })));
  }

  #note(exchange: Exchange, { code, source, reply, size }: Outcome): void {
    const { incoming, query, started, zone } = exchange;
    const seconds = (performance.now() - started) / 1000;
    (zone?.metrics ?? this.#options.dropped).count({
      client: incoming.client,
      type: query.type,
      dnssecOk: query.edns?.dnssecOk === true,
      rcode: code,
      source,
      requestSize: incoming.packet.length,
      responseSize: size,
      seconds,
    });
    zone?.log?.note({ incoming: exchange.incoming, reply, rcode: code, seconds });
  }

  #placeOf(name: Name, type: number): Place | undefined {
    let child: Place | undefined;
    for (const place of this.#places) {
      const { apex } = place.zone;
      if (apex !== rootName && !isWithin(name, apex)) continue;
      // Who signs for a zone is said by its parent (RFC 4035 §3.1.4.1), if that is served here too.
      if (type !== recordType.DS || apex !== name) return place;
      child = place;
    }
    return child;
  }
}

function placesOf({ blocks }: ResponderOptions): Place[] {
  return blocks
    .flatMap(({ zones, handlers }) => zones.map((zone) => ({ zone, handlers })))
    .sort((a, b) => b.zone.apex.length - a.zone.apex.length);
}

/** What came of a query: the last message, and the octets of all. */
interface Outcome {
  readonly code: number;
  readonly source: AnswerSource;
  readonly reply: Buffer;
  readonly size: number;
}

/** The same messages; tells at their end, or where they are cut off, of the last and of all octets. */
function* counted(
  messages: Generator<Buffer, void>,
  tell: (last: Buffer, size: number) => void,
): Generator<Buffer, void> {
  // Cut off before the first, there is a header of nothing.
  let last: Buffer = Buffer.alloc(headerLength);
  let size = 0;
  try {
    for (const message of messages) {
      last = message;
      size += message.length;
      yield message;
    }
  } finally {
    tell(last, size);
  }
}

/** The response code of a query that is not to be looked up. */
function refusalOf(query: Query): number | undefined {
  if (query.problem !== undefined) return query.problem;
  if (query.class !== recordClass.IN) return rcode.REFUSED;
  if (query.type === recordType.OPT || query.type === 0) return rcode.FORMERR;
  // Of the types that are questions only, transfers have a handler.
  const isTransfer = query.type === recordType.AXFR || query.type === recordType.IXFR;
  if (query.type >= 249 && query.type < recordType.ANY && !isTransfer) return rcode.NOTIMP;
  return undefined;
}
