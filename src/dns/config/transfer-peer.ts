import { bits, type Cidr, parseCidr } from '../../net/cidr.ts';
import { familyOf } from '../../net/ip.ts';
import { parseServerAddress, type ServerAddress } from '../forward/address.ts';
import type { TransferRule } from './types.ts';

/** Who may have zones: the clients of a block, or one, which is then told of changes at a port of its own. */
export interface TransferPeer {
  readonly clients: Cidr;
  readonly notify: ServerAddress | undefined;
}

/**
 * Reads `192.0.2.1`, `192.0.2.1:5353` or `192.0.2.0/24`.
 * @throws SignalboxError `INVALID_CONFIG`, `INVALID_CIDR`
 */
export function parseTransferPeer(text: string): TransferPeer {
  if (text.includes('/')) return { clients: parseCidr(text), notify: undefined };
  const notify = parseServerAddress(text);
  const family = familyOf(notify.ip);
  return { clients: { family, base: notify.ip, prefix: bits(family) }, notify };
}

/** What peers come to in a rule. */
export function peersOfRule(peers: readonly TransferPeer[]): Pick<TransferRule, 'to' | 'notify'> {
  return {
    to: peers.map(({ clients }) => clients),
    notify: peers.map(({ notify }) => notify).filter((address) => address !== undefined),
  };
}
