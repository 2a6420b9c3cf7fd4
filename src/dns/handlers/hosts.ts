import { familyOf, type Ip } from '../../net/ip.ts';
import type { HostsSettings } from '../config/types.ts';
import type { Exchange } from '../exchange.ts';
import type { HostsTable } from '../hosts/hosts-table.ts';
import { flag, rcode, recordType } from '../wire/constants.ts';
import { isWithin } from '../wire/name.ts';
import { addressRdata, nameRdata, type Rdata } from '../wire/rdata.ts';
import type { Handler } from './order.ts';

/** What a hosts file's names are answered from, and how. */
export interface HostsHandlerOptions {
  readonly settings: HostsSettings;
  /** The names as they are now. */
  readonly table: () => HostsTable;
  /** Whether the addresses of an answer take turns at being first. */
  readonly loadbalance: boolean;
}

/**
 * Answers names of a hosts file, and addresses that have a name there, as CoreDNS does: a name that is there and has no
 * address of the family asked for has no data; one that is not there is left to the next where it falls through, and
 * fails elsewhere, since without an SOA record it cannot be denied. Addresses without a name are always left to the next.
 */
export class HostsHandler implements Handler {
  readonly #options: HostsHandlerOptions;
  #turn = 0;

  constructor(options: HostsHandlerOptions) {
    this.#options = options;
  }

  handle(exchange: Exchange): boolean {
    const { name, query } = exchange;
    const { settings, table } = this.#options;
    const isReverse = query.type === recordType.PTR;
    const isOurs = settings.zones.some((zone) => isWithin(name, zone));
    if (!isOurs && !isReverse) return false;
    const { addresses, names } = table();
    if (isReverse && settings.reverse) {
      const found = names.get(name);
      if (found !== undefined) {
        this.#write(exchange, found, nameRdata);
        return true;
      }
    }
    if (isReverse && !addresses.has(name)) return false;
    const known = addresses.get(name);
    if (known === undefined) {
      if (settings.fallthrough.some((zone) => isWithin(name, zone))) return false;
      exchange.fail(rcode.SERVFAIL, 'hosts', 'the hosts file has no such name');
      return true;
    }
    this.#write(exchange, this.#turned(known.filter((ip) => typeOf(ip) === query.type)), addressRdata);
    return true;
  }

  #write<T>(exchange: Exchange, found: readonly T[], rdataOf: (one: T) => Rdata): void {
    const owner = exchange.begin();
    exchange.writer.setFlags(flag.AA);
    const { type } = exchange.query;
    const { ttl } = this.#options.settings;
    for (const one of found) {
      // An address may have more names than any message can hold.
      if (exchange.writer.record('answer', owner, { type, ttl, rdata: rdataOf(one) }) === 0) break;
    }
    exchange.finish(rcode.NOERROR, 'hosts');
  }

  #turned(ips: readonly Ip[]): readonly Ip[] {
    if (ips.length < 2 || !this.#options.loadbalance) return ips;
    const start = this.#turn++ % ips.length;
    return [...ips.slice(start), ...ips.slice(0, start)];
  }
}

function typeOf(ip: Ip): number {
  return familyOf(ip) === 'IPv4' ? recordType.A : recordType.AAAA;
}
