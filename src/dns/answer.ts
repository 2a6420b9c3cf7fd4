import type { Forwarded, Forwarder } from './forward/forwarder.ts';
import type { AnswerSource, Client, DnsMetrics } from './metrics.ts';
import type { NameNode, RecordSet } from './name-tree.ts';
import { classicUdpLimit, flag, messageLimit, rcode, recordClass, recordType } from './wire/constants.ts';
import type { Name } from './wire/name.ts';
import { parseQuery, type Query } from './wire/query.ts';
import { srvTargetOffset } from './wire/rdata.ts';
import { questionOffset, type RecordBody, ReplyWriter } from './wire/reply-writer.ts';
import { detachRecord } from './wire/response.ts';
import type { ClusterZone, Zone } from './zone.ts';

/** What answers are made from. */
export interface ResponderOptions {
  readonly zone: ClusterZone;
  /** Whether the zone is whole. Before, what it has says nothing about what there is. */
  readonly isReady: () => boolean;
  /** Where other names are asked for; without it they are refused. */
  readonly forwarder: Forwarder | undefined;
  /** The largest UDP answer, in octets, to clients that take so much. */
  readonly maxUdpSize: number;
  readonly metrics: DnsMetrics;
}

/** A query on its way to its answer. */
interface Context {
  readonly packet: Buffer;
  readonly query: Query;
  readonly client: Client;
  readonly send: (reply: Buffer) => void;
  /** Milliseconds, by the process's clock. */
  readonly started: number;
}

/** A name the answer leads through, and where it is in the message. */
interface Alias {
  readonly owner: Name;
  readonly body: RecordBody;
}

/** Aliases of ours that lead to aliases of ours: followed so far. */
const maxAliases = 8;

/**
 * Turns one query into one answer: from the zone while the caller waits, or from another server later. Everything of
 * the zone is read when asked and written straight to the wire, so no answer is older than the zone.
 */
export class Responder {
  readonly #options: ResponderOptions;
  readonly #writer: ReplyWriter;
  #turn = 0;

  constructor(options: ResponderOptions) {
    this.#options = options;
    this.#writer = new ReplyWriter(options.maxUdpSize);
  }

  /**
   * Answers a packet by one call of `send`, perhaps before this returns; `false` when there will be none, because the
   * packet is no query. The reply is valid during that call only, unless `keepReply` is called in it.
   */
  answer(packet: Buffer, client: Client, send: (reply: Buffer) => void): boolean {
    const started = performance.now();
    const query = parseQuery(packet);
    if (query === undefined) return false;
    const context: Context = { packet, query, client, send, started };
    const refusal = this.#refusal(query);
    if (refusal === undefined) this.#resolve(context);
    else this.#end(context, refusal, '');
    return true;
  }

  /** Keeps the reply last sent valid: the next one gets memory of its own. */
  keepReply(): void {
    this.#writer.release();
  }

  /** The response code of a query that is not to be looked up. */
  #refusal(query: Query): number | undefined {
    if (query.problem !== undefined) return query.problem;
    if (query.class !== recordClass.IN) return rcode.REFUSED;
    if (query.type === recordType.AXFR || query.type === recordType.IXFR) return rcode.REFUSED;
    if (query.type === recordType.OPT || query.type === 0) return rcode.FORMERR;
    if (query.type >= 249 && query.type < recordType.ANY) return rcode.NOTIMP;
    if (query.type === recordType.HINFO && this.#options.forwarder?.sawProbe(query.name)) return rcode.REFUSED;
    return undefined;
  }

  #begin({ packet, query, client }: Context): void {
    const limit =
      client.transport === 'tcp'
        ? messageLimit
        : Math.min(query.edns?.udpSize ?? classicUdpLimit, this.#options.maxUdpSize);
    this.#writer.begin(packet, query, limit);
    if (this.#options.forwarder !== undefined) this.#writer.setFlags(flag.RA);
  }

  /** Sends what has been begun and written; nothing has, for answers that are a response code alone. */
  #finish({ packet, query, client, send, started }: Context, code: number, source: AnswerSource): void {
    const reply = this.#writer.finish(code);
    send(reply);
    this.#options.metrics.count({
      client,
      type: query.type,
      dnssecOk: query.edns?.dnssecOk === true,
      rcode: code,
      source,
      requestSize: packet.length,
      responseSize: reply.length,
      seconds: (performance.now() - started) / 1000,
    });
  }

  #end(context: Context, code: number, source: AnswerSource): void {
    this.#begin(context);
    this.#finish(context, code, source);
  }

  #resolve(context: Context): void {
    const { query } = context;
    const zone = this.#options.zone.zoneOf(query.name);
    if (zone === undefined) {
      this.#ask(context, query.name, noAliases);
      return;
    }
    if (!this.#options.isReady()) {
      this.#end(context, rcode.SERVFAIL, 'kubernetes');
      return;
    }
    const node = zone.tree.find(query.name);
    if (zone.fallthrough && (node === undefined || node.sets.length === 0)) {
      this.#ask(context, query.name, noAliases);
      return;
    }
    const cname = query.type === recordType.CNAME ? undefined : node?.set(recordType.CNAME);
    if (cname !== undefined && query.type !== recordType.ANY) {
      this.#follow(context, cname);
      return;
    }
    this.#begin(context);
    this.#finish(
      context,
      this.#writeNode({ zone, node, name: query.name, owner: questionOffset }, query),
      'kubernetes',
    );
  }

  /** Goes along the aliases of ours, then on in the zone or outside. */
  #follow(context: Context, first: RecordSet): void {
    const { query } = context;
    const aliases: Alias[] = [];
    let owner = query.name;
    for (let cname: RecordSet | undefined = first; cname !== undefined; ) {
      if (aliases.length === maxAliases) {
        this.#end(context, rcode.SERVFAIL, 'kubernetes');
        return;
      }
      const body = { type: cname.type, ttl: cname.ttl, rdata: cname.at(0) };
      aliases.push({ owner, body });
      owner = body.rdata as string as Name;
      cname = this.#options.zone.find(owner)?.set(recordType.CNAME);
    }
    const zone = this.#options.zone.zoneOf(owner);
    if (zone === undefined) {
      this.#ask(context, owner, aliases);
      return;
    }
    this.#begin(context);
    const at = this.#writeAliases(aliases);
    const place = { zone, node: zone.tree.find(owner), name: owner, owner: at };
    this.#finish(context, this.#writeNode(place, query), 'kubernetes');
  }

  /** Writes the aliases and returns where the name they lead to is in the message. */
  #writeAliases(aliases: readonly Alias[]): number {
    let at = questionOffset;
    if (aliases.length > 0) this.#writer.setFlags(flag.AA);
    for (const { body } of aliases) at = this.#writer.record('answer', at, body);
    return at;
  }

  /** Writes what the zone has at a name, and returns the response code. */
  #writeNode(place: Place, query: Query): number {
    const { zone, node, name, owner } = place;
    this.#writer.setFlags(flag.AA);
    if (query.type === recordType.SOA && name === zone.apex) {
      this.#writer.record('answer', owner, this.#options.zone.soa(zone));
      return rcode.NOERROR;
    }
    // RFC 8482: one set is answer enough for who asks for any.
    const set = query.type === recordType.ANY ? node?.sets[0] : node?.set(query.type);
    if (set !== undefined) {
      this.#writeSet(set, owner);
      return rcode.NOERROR;
    }
    const pod = node === undefined ? this.#options.zone.podRecord(name) : undefined;
    if (pod !== undefined && (pod.type === query.type || query.type === recordType.ANY)) {
      this.#writer.record('answer', owner, pod);
      return rcode.NOERROR;
    }
    this.#writer.record('authority', owner + name.length - zone.apex.length, this.#options.zone.soa(zone));
    return node === undefined && pod === undefined ? rcode.NXDOMAIN : rcode.NOERROR;
  }

  /** Writes all records of a set, each time another one first, and the addresses of the hosts they name. */
  #writeSet(set: RecordSet, owner: number): void {
    const { size, type, ttl } = set;
    const targetOffset = type === recordType.SRV ? srvTargetOffset : type === recordType.NS ? 0 : -1;
    const targets = targetOffset < 0 ? undefined : new Map<Name, number>();
    const start = size === 1 ? 0 : this.#turn++ % size;
    for (let i = 0; i < size; i++) {
      const position = start + i;
      const rdata = set.at(position < size ? position : position - size);
      const data = this.#writer.record('answer', owner, { type, ttl, rdata });
      if (data === 0) return;
      targets?.set(rdata.slice(targetOffset) as Name, data + targetOffset);
    }
    if (targets === undefined) return;
    for (const [target, at] of targets) this.#writeAddresses(target, at);
  }

  #writeAddresses(host: Name, owner: number): void {
    const node = this.#options.zone.find(host);
    for (const set of node?.sets ?? []) {
      if (set.type !== recordType.A && set.type !== recordType.AAAA) continue;
      for (let i = 0; i < set.size; i++)
        this.#writer.record('additional', owner, { type: set.type, ttl: set.ttl, rdata: set.at(i) });
    }
  }

  /** Asks other servers for a name, the query's own or the one its aliases lead to. */
  #ask(context: Context, name: Name, aliases: readonly Alias[]): void {
    const { query } = context;
    const { forwarder } = this.#options;
    if (forwarder === undefined) {
      this.#end(context, rcode.REFUSED, '');
      return;
    }
    const dnssecOk = query.edns?.dnssecOk === true;
    const answer = forwarder.resolve({ name, type: query.type, flags: query.flags, dnssecOk });
    if (answer instanceof Promise) answer.then((forwarded) => this.#pass(context, forwarded, aliases));
    else this.#pass(context, answer, aliases);
  }

  /** Passes another server's answer on. */
  #pass(context: Context, forwarded: Forwarded, aliases: readonly Alias[]): void {
    const { kind } = forwarded;
    if (kind === 'failure') {
      this.#end(context, forwarded.rcode, 'forward');
      return;
    }
    this.#begin(context);
    this.#writer.setFlags(forwarded.response.flags & flag.TC);
    if (aliases.length === 0) this.#writeMessage(forwarded);
    else this.#writeContinued(forwarded, aliases);
    this.#finish(context, forwarded.response.rcode, forwarded.cached ? 'cache' : 'forward');
  }

  #writeMessage({ response, age }: ForwardedAnswer): void {
    const { answer, authority, additional, message, end } = response;
    this.#writer.sectionsOf(message, end, {
      answer: answer.length,
      authority: authority.length,
      additional: additional.length,
    });
    if (this.#writer.isTruncated) return;
    for (const { owner, ownerAt } of answer) if (owner === response.question.name) this.#writer.repeatCase(ownerAt);
    if (age === 0) return;
    for (const section of [answer, authority, additional])
      for (const { ttl, ttlAt } of section) this.#writer.overwrite(ttlAt, Math.max(0, ttl - age));
  }

  /** Aliases of ours, then what another server says of the name they lead to. */
  #writeContinued({ response, age }: ForwardedAnswer, aliases: readonly Alias[]): void {
    const known = new Map<Name, number>([[response.question.name, this.#writeAliases(aliases)]]);
    for (const section of ['answer', 'authority'] as const) {
      for (const placed of response[section]) {
        const body = detachRecord(response.message, placed);
        if (body === undefined) continue;
        const aged = { ...body, ttl: Math.max(0, body.ttl - age) };
        const data = this.#writer.record(section, known.get(placed.owner) ?? placed.owner, aged);
        if (body.type === recordType.CNAME) known.set(body.rdata as string as Name, data);
      }
    }
  }
}

type ForwardedAnswer = Extract<Forwarded, { readonly kind: 'answer' }>;

/** A name in a zone, what exists there, and where the name is in the message. */
interface Place {
  readonly zone: Zone;
  readonly node: NameNode | undefined;
  readonly name: Name;
  readonly owner: number;
}

const noAliases: readonly Alias[] = [];
