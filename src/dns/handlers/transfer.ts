import type { Exchange } from '../exchange.ts';
import { rcode, recordType } from '../wire/constants.ts';
import type { Handler } from './order.ts';

/** Refuses to give zones as a whole. */
export class TransferHandler implements Handler {
  handle(exchange: Exchange): boolean {
    const { type } = exchange.query;
    if (type !== recordType.AXFR && type !== recordType.IXFR) return false;
    exchange.fail(rcode.REFUSED, '');
    return true;
  }
}
