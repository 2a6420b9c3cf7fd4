import { bits, type Cidr, cidrAddress, cidrContains, formatCidr } from '../net/cidr.ts';
import { type Ip, ipToBigInt } from '../net/ip.ts';

/** Larger blocks are used up to this many addresses, as Kubernetes does for IPv6. */
const maxUsable = 2 ** 31;
const randomTries = 32;

/**
 * The order in which the addresses of a block are given out. The lowest ones, a sixteenth of the block but 16 to 256,
 * are the static band: left for those who ask for an address by name, until the rest is used up.
 */
export class AddressRange {
  readonly cidr: Cidr;
  /** Addresses that can be given out: without the network's own, and for IPv4 without the broadcast address. */
  readonly size: number;
  readonly staticBand: number;

  constructor(cidr: Cidr) {
    this.cidr = cidr;
    const all = 2 ** (bits(cidr.family) - cidr.prefix);
    this.size = Math.max(0, Math.min(maxUsable, all - (cidr.family === 'IPv4' ? 2 : 1)));
    this.staticBand = all <= 16 ? 0 : Math.min(Math.max(16, Math.floor(all / 16)), 256);
    if (this.staticBand >= this.size) this.staticBand = 0;
  }

  /** Whether an address can be given out. */
  contains(ip: Ip): boolean {
    if (!cidrContains(this.cidr, ip)) return false;
    const offset = ipToBigInt(ip) - ipToBigInt(this.cidr.base);
    return offset >= 1n && offset <= BigInt(this.size);
  }

  /** A free address, by chance, out of the static band only when all others are taken; nothing when the block is full. */
  pick(isFree: (ip: Ip) => boolean, random: () => number = Math.random): Ip | undefined {
    return (
      this.#pickBetween({ from: this.staticBand, to: this.size }, isFree, random) ??
      this.#pickBetween({ from: 0, to: this.staticBand }, isFree, random)
    );
  }

  toString(): string {
    return formatCidr(this.cidr);
  }

  #pickBetween(band: { from: number; to: number }, isFree: (ip: Ip) => boolean, random: () => number): Ip | undefined {
    const count = band.to - band.from;
    if (count <= 0) return undefined;
    const at = (n: number) => cidrAddress(this.cidr, band.from + n + 1);
    for (let i = 0; i < randomTries; i++) {
      const ip = at(Math.floor(random() * count));
      if (isFree(ip)) return ip;
    }
    const start = Math.floor(random() * count);
    for (let i = 0; i < count; i++) {
      const ip = at((start + i) % count);
      if (isFree(ip)) return ip;
    }
    return undefined;
  }
}
