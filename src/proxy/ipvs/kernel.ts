import { dummyDevice } from '../../backends/ipvs/names.ts';
import type { IpsetKernel } from '../../kernel/ipset/interface.ts';
import { openIpset } from '../../kernel/ipset/socket.ts';
import { openServiceAddresses, type ServiceAddresses } from '../../kernel/ipvs/addresses.ts';
import type { IpvsKernel } from '../../kernel/ipvs/interface.ts';
import { openIpvs } from '../../kernel/ipvs/socket.ts';

/** What of the kernel ipvs mode changes with Services. */
export interface ServicesKernel {
  readonly ipvs: IpvsKernel;
  readonly ipset: IpsetKernel;
  readonly addresses: ServiceAddresses;
}

/**
 * Opens it in the network namespace this process is in.
 * @throws SignalboxError `KERNEL_LACKS_IPVS` naming the modules
 */
export function openServicesKernel(): ServicesKernel {
  const ipvs = openIpvs();
  try {
    const ipset = openIpset();
    return { ipvs, ipset, addresses: openServiceAddresses(dummyDevice) };
  } catch (error) {
    ipvs.close();
    throw error;
  }
}

/** Lets go of it. */
export function closeServicesKernel({ ipvs, ipset, addresses }: ServicesKernel): void {
  ipvs.close();
  ipset.close();
  addresses.close();
}
