import { cidrContains } from '../../net/cidr.ts';
import { tryParseIp } from '../../net/ip.ts';
import { transferRuleOf } from '../config/transfer-rule.ts';
import type { TransferRule } from '../config/types.ts';
import type { Exchange } from '../exchange.ts';
import { isUpToDate, transferMessages } from '../transfer.ts';
import { flag, rcode, recordType } from '../wire/constants.ts';
import type { ClusterZone, Zone } from '../zone.ts';
import type { Handler } from './order.ts';

/** Which zones may be had as a whole, and by whom. */
export interface TransferHandlerOptions {
  readonly rules: readonly TransferRule[];
  /** Where the zones are. */
  readonly zone: ClusterZone | undefined;
  /** Whether they are whole. */
  readonly isReady: () => boolean;
}

/** Transfers at a time; who comes too many will come again. */
const maxUnderWay = 8;

/**
 * Gives zones as a whole (AXFR, RFC 5936), over TCP and to those who may have them. What has changed (IXFR, RFC 1995) is
 * given as the whole too, or as nothing where nothing has; over UDP it is only said which is the newest.
 */
export class TransferHandler implements Handler {
  readonly #options: TransferHandlerOptions;
  #underWay = 0;

  constructor(options: TransferHandlerOptions) {
    this.#options = options;
  }

  handle(exchange: Exchange): boolean {
    const { type } = exchange.query;
    if (type !== recordType.AXFR && type !== recordType.IXFR) return false;
    const { zone, isReady } = this.#options;
    const found = zone?.zoneOf(exchange.name);
    if (!this.#mayHave(exchange)) exchange.fail(rcode.REFUSED, 'transfer');
    else if (zone === undefined || found?.apex !== exchange.name) exchange.fail(rcode.NOTAUTH, 'transfer');
    else if (!isReady()) exchange.fail(rcode.SERVFAIL, 'transfer');
    else this.#give(exchange, zone, found);
    return true;
  }

  #mayHave({ name, query, incoming }: Exchange): boolean {
    const { transport, address } = incoming.client;
    const ip = tryParseIp(address);
    // Over UDP there is only what says whether to come again over TCP.
    if ((transport === 'udp' && query.type === recordType.AXFR) || ip === undefined) return false;
    const rule = transferRuleOf(this.#options.rules, name);
    return rule !== undefined && (rule.to === '*' || rule.to.some((block) => cidrContains(block, ip)));
  }

  #give(exchange: Exchange, cluster: ClusterZone, zone: Zone): void {
    const { incoming, query } = exchange;
    const upToDate = query.type === recordType.IXFR && isUpToDate(incoming, cluster.serial);
    if (upToDate === undefined) exchange.fail(rcode.FORMERR, 'transfer');
    else if (upToDate || incoming.client.transport === 'udp') {
      // RFC 1995 §2: who has an older one, and was given no more than this over UDP, asks again over TCP.
      const owner = exchange.begin();
      exchange.writer.setFlags(flag.AA);
      exchange.writer.record('answer', owner, cluster.soa(zone));
      exchange.finish(rcode.NOERROR, 'transfer');
    } else if (this.#underWay === maxUnderWay) exchange.fail(rcode.SERVFAIL, 'transfer');
    else exchange.stream(this.#bounded(transferMessages(incoming, cluster, zone)), 'transfer');
  }

  *#bounded(messages: Generator<Buffer, void>): Generator<Buffer, void> {
    this.#underWay++;
    try {
      yield* messages;
    } finally {
      this.#underWay--;
    }
  }
}
