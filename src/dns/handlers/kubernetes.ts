import type { Exchange } from '../exchange.ts';
import type { NameNode, RecordSet } from '../name-tree.ts';
import { flag, rcode, recordType } from '../wire/constants.ts';
import type { Name } from '../wire/name.ts';
import { srvTargetOffset, srvWeightOffset } from '../wire/rdata.ts';
import type { ReplyWriter, Section } from '../wire/reply-writer.ts';
import type { ClusterZone, Zone } from '../zone.ts';
import { srvWeight } from '../zone-records.ts';
import type { Handler } from './order.ts';

/** What a cluster's names are answered from, and how. */
export interface KubernetesHandlerOptions {
  readonly zone: ClusterZone;
  /** Whether the zone is whole. Before, what it has says nothing about what there is. */
  readonly isReady: () => boolean;
  /** Whether the records of an answer take turns at being first. */
  readonly loadbalance: boolean;
}

/**
 * A zone, and where its name stands in the reply, as the client wrote it: names in the zone's own data repeat its case,
 * as CoreDNS has it.
 */
interface AskedZone {
  readonly zone: Zone;
  readonly at: number;
}

/** Answers for a cluster's names. All is read when asked and written straight to the wire: no answer is older than the zone. */
export class KubernetesHandler implements Handler {
  readonly #options: KubernetesHandlerOptions;
  readonly #zone: ClusterZone;
  #turn = 0;

  constructor(options: KubernetesHandlerOptions) {
    this.#options = options;
    this.#zone = options.zone;
  }

  handle(exchange: Exchange): boolean {
    const { name, query } = exchange;
    const zone = this.#zone.zoneOf(name);
    if (zone === undefined) return false;
    if (!this.#options.isReady()) {
      exchange.fail(rcode.SERVFAIL, 'kubernetes', 'the zone is not whole yet');
      return true;
    }
    const node = zone.tree.find(name);
    if (this.#zone.fallsThrough(name, zone, node)) return false;
    const cname = query.type === recordType.CNAME ? undefined : node?.set(recordType.CNAME);
    if (cname !== undefined && query.type !== recordType.ANY) {
      const body = { type: cname.type, ttl: cname.ttl, rdata: cname.at(0) };
      if (!exchange.follow(body)) exchange.abandon(rcode.SERVFAIL, 'kubernetes', 'aliases lead on and on');
      return true;
    }
    const code = this.#writeNode(exchange, zone, node);
    exchange.finish(code, 'kubernetes');
    return true;
  }

  /** Writes what the zone has at the exchange's name, and returns the response code. */
  #writeNode(exchange: Exchange, zone: Zone, node: NameNode | undefined): number {
    const { name, query, writer } = exchange;
    const owner = exchange.begin();
    writer.setFlags(flag.AA);
    const asked = { zone, at: owner + name.length - zone.apex.length };
    if (query.type === recordType.SOA && name === zone.apex) {
      this.#writeSoa(writer, 'answer', asked);
      return rcode.NOERROR;
    }
    // RFC 8482: one set is answer enough for who asks for any.
    const set = query.type === recordType.ANY ? node?.sets[0] : node?.set(query.type);
    if (set !== undefined) {
      this.#writeSet(writer, set, { ...asked, owner });
      return rcode.NOERROR;
    }
    const pod = node === undefined ? this.#zone.podRecord(name) : undefined;
    if (pod !== undefined && (pod.type === query.type || query.type === recordType.ANY)) {
      writer.record('answer', owner, pod);
      return rcode.NOERROR;
    }
    this.#writeSoa(writer, 'authority', asked);
    return node === undefined && pod === undefined ? rcode.NXDOMAIN : rcode.NOERROR;
  }

  /** Writes the zone's SOA record. */
  #writeSoa(writer: ReplyWriter, section: Section, { zone, at }: AskedZone): void {
    const { apex, nameServer, mailbox } = zone;
    const data = writer.record(section, at, this.#zone.soa(zone));
    if (data === 0 || !writer.hasCapitals(at, apex.length)) return;
    for (const end of [nameServer.length, nameServer.length + mailbox.length])
      writer.repeatCase(data + end - apex.length, at);
  }

  /** Writes all records of a set, and the addresses of the hosts they name. */
  #writeSet(writer: ReplyWriter, set: RecordSet, { zone, at, owner }: AskedZone & { readonly owner: number }): void {
    const { size, type, ttl } = set;
    const { length } = zone.apex;
    const targetOffset = type === recordType.SRV ? srvTargetOffset : type === recordType.NS ? 0 : -1;
    const targets = targetOffset < 0 ? undefined : new Map<Name, number>();
    const weight = type === recordType.SRV ? srvWeight(set) : undefined;
    const isCased = targets !== undefined && writer.hasCapitals(at, length);
    const start = size === 1 || !this.#options.loadbalance ? 0 : this.#turn++ % size;
    for (let i = 0; i < size; i++) {
      const position = start + i;
      const rdata = set.at(position < size ? position : position - size);
      const data = writer.record('answer', owner, { type, ttl, rdata });
      if (data === 0) return;
      if (weight !== undefined) writer.overwriteShort(data + srvWeightOffset, weight);
      // Hosts are in the same zone, and their names end the data.
      if (isCased) writer.repeatCase(data + rdata.length - length, at);
      targets?.set(rdata.slice(targetOffset) as Name, data + targetOffset);
    }
    if (targets === undefined) return;
    for (const [target, targetAt] of targets) this.#writeAddresses(writer, target, targetAt);
  }

  #writeAddresses(writer: ReplyWriter, host: Name, owner: number): void {
    for (const set of this.#zone.find(host)?.sets ?? []) {
      if (set.type !== recordType.A && set.type !== recordType.AAAA) continue;
      for (let i = 0; i < set.size; i++)
        writer.record('additional', owner, { type: set.type, ttl: set.ttl, rdata: set.at(i) });
    }
  }
}
