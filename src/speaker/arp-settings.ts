import { readSysctl } from '../kernel/sysctl.ts';

/** Values of `arp_ignore` under which a kernel answers for addresses of the device alone that it is asked on. */
const strict: readonly number[] = [1, 2, 8];

/**
 * Whether the kernel, asked on a device, answers ARP for addresses that it has on others, as it does unless told
 * otherwise: of `net.ipv4.conf.all.arp_ignore` and the device's own the larger counts (ip-sysctl in the kernel's
 * documentation). In the network namespace of the calling thread.
 * @throws SignalboxError `KERNEL_REFUSED`
 */
export function answersForOtherDevices(device: string): boolean {
  const values = ['all', device.replaceAll('.', '/')].map((name) =>
    Number(readSysctl(`net.ipv4.conf.${name}.arp_ignore`)),
  );
  return !strict.includes(Math.max(...values));
}
