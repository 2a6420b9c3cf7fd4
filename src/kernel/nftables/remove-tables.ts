import type { IpFamily } from '../../net/ip.ts';
import type { NftablesKernel } from './interface.ts';

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/** A table as nft(8) names it: `table ip6 NAME`. */
export function tableLabel(family: IpFamily, name: string): string {
  return `table ${family === 'IPv4' ? 'ip' : 'ip6'} ${name}`;
}

/**
 * Removes the tables of this name, which the kernel was opened for, of both families; gives those that there were.
 * @throws SignalboxError `KERNEL_REFUSED`
 */
export function removeTables(kernel: Pick<NftablesKernel, 'has' | 'remove'>, name: string): string[] {
  const present = families.filter((family) => kernel.has(family));
  for (const family of present) kernel.remove(family);
  return present.map((family) => tableLabel(family, name));
}
