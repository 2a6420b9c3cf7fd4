import type { Incoming } from './incoming.ts';
import type { AnswerSource } from './metrics.ts';
import type { ServedZone } from './served-zone.ts';
import { flag, rcode } from './wire/constants.ts';
import type { Name } from './wire/name.ts';
import type { Query } from './wire/query.ts';
import { questionOffset, type RecordBody, type ReplyWriter } from './wire/reply-writer.ts';

/** The server an exchange is at. */
export interface ExchangeServer {
  /** Where replies are written, one at a time: from `begin` to `finish` nobody else may. */
  readonly writer: ReplyWriter;
  /** Starts the exchange's reply. */
  begin(exchange: Exchange): void;
  /** Sends what was written. */
  finish(exchange: Exchange, code: number, source: AnswerSource): void;
  /** Answers for what should not have happened. */
  crashed(exchange: Exchange, error: unknown): void;
  /** Sends a reply of many messages. */
  stream(exchange: Exchange, messages: Generator<Buffer, void>, source: AnswerSource): void;
  /** Has the exchange's name, which is another one now, answered by whoever has it. */
  resolve(exchange: Exchange): void;
}

/** Aliases that lead to aliases: followed so far. */
const maxAliases = 8;
const noAliases: readonly RecordBody[] = [];

/** One query on its way to its answer. */
export class Exchange {
  #incoming: Incoming;
  readonly query: Query;
  /** Milliseconds, by the process's clock. */
  readonly started: number;
  readonly #server: ExchangeServer;
  /** The zone the query came to, where it is counted; aliases do not change it. */
  zone: ServedZone | undefined;
  #name: Name;
  #aliases: readonly RecordBody[] = noAliases;

  constructor(server: ExchangeServer, incoming: Incoming) {
    this.#server = server;
    this.#incoming = incoming;
    this.query = incoming.query;
    this.started = performance.now();
    this.#name = incoming.query.name;
    this.zone = undefined;
  }

  get incoming(): Incoming {
    return this.#incoming;
  }

  /** The name to answer for: the query's, or the one its aliases lead to. */
  get name(): Name {
    return this.#name;
  }

  /** Whether aliases have been followed. */
  get isAliased(): boolean {
    return this.#aliases.length > 0;
  }

  get writer(): ReplyWriter {
    return this.#server.writer;
  }

  /** Starts the reply, with the aliases that led here; returns where `name` stands in it. */
  begin(): number {
    this.#server.begin(this);
    let at = questionOffset;
    for (const alias of this.#aliases) at = this.writer.record('answer', at, alias);
    return at;
  }

  /**
   * Ends and sends the reply that was begun. An alias is the answer, and true, whatever became of what it leads to: its
   * name exists, so the code is NOERROR, as CoreDNS has it.
   */
  finish(code: number, source: AnswerSource): void {
    this.#server.finish(this, this.isAliased ? rcode.NOERROR : code, source);
  }

  /** Replies with many messages, which the client's transport has to allow. */
  stream(messages: Generator<Buffer, void>, source: AnswerSource): void {
    this.#server.stream(this, messages, source);
  }

  /** As `abandon`, but with the aliases that led here, if any did: they are an answer. */
  fail(code: number, source: AnswerSource, problem?: string): void {
    if (!this.isAliased) {
      this.abandon(code, source, problem);
      return;
    }
    this.begin();
    this.writer.setFlags(flag.AA);
    this.finish(code, source);
    this.#note(code, problem);
  }

  /** Replies with a response code and no records; with a problem, it is an error to be told. */
  abandon(code: number, source: AnswerSource, problem?: string): void {
    this.#server.begin(this);
    this.#server.finish(this, code, source);
    this.#note(code, problem);
  }

  /** Goes on when something has come; what goes wrong then is a failure of ours, and answered as one. */
  goOn<T>(later: Promise<T>, use: (value: T) => void): void {
    this.#incoming = { ...this.#incoming, packet: Buffer.from(this.#incoming.packet) };
    later.then(use).catch((error) => this.#server.crashed(this, error));
  }

  /**
   * Goes on at the target of a CNAME that `name` has: it becomes the name to answer for, by whoever has it. `false`,
   * and nothing is done, when too many led here already.
   */
  follow(cname: RecordBody): boolean {
    if (this.#aliases.length === maxAliases) return false;
    this.#aliases = [...this.#aliases, cname];
    this.#name = cname.rdata as string as Name;
    this.#server.resolve(this);
    return true;
  }

  #note(code: number, problem: string | undefined): void {
    if (problem !== undefined) this.zone?.errors?.note(this.query, code, problem);
  }
}
