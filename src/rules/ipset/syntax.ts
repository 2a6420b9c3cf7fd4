import type { Cidr } from '../../net/cidr.ts';
import type { Ip, IpFamily } from '../../net/ip.ts';
import type { Protocol } from '../../net/port.ts';

/** Sets of addresses and ports as values. Words are ipset(8)'s own. */

/** Types of sets: a name says what an entry is made of, and a `set` match of a rule asks for these parts in turn. */
export type SetType = 'hash:ip' | 'hash:ip,port' | 'hash:ip,port,ip' | 'hash:ip,port,net' | 'bitmap:port';

/** A set as `ipset create` makes it. */
export interface SetDeclaration {
  /** At most 31 bytes. */
  readonly name: string;
  readonly type: SetType;
  /** Of the addresses in it; a set of ports is for both. */
  readonly family: IpFamily;
  /** Entries can have a mark, which the target `SET --map-set … --map-mark` puts on packets. */
  readonly marks?: true;
}

/** An entry. It has the parts that the set's type names. */
export interface SetEntry {
  readonly ip?: Ip;
  readonly protocol?: Lowercase<Protocol>;
  readonly port?: number;
  /** The second address of `hash:ip,port,ip`. */
  readonly ip2?: Ip;
  /** The block of `hash:ip,port,net`; not all addresses at once, which the kernel has no word for. */
  readonly net?: Cidr;
  /** Of sets with marks. */
  readonly mark?: number;
}

/** A set with what is in it. */
export interface IpSet extends SetDeclaration {
  readonly entries: readonly SetEntry[];
}

/** One line of what `ipset restore` reads. */
export type SetCommand =
  | { readonly verb: 'create'; readonly set: SetDeclaration }
  | { readonly verb: 'destroy'; readonly name: string }
  | { readonly verb: 'add' | 'del'; readonly set: SetDeclaration; readonly entry: SetEntry };
