import { isSignalboxError, SignalboxError } from '../errors/error.ts';
import { errnoNumber, isKernelError, KernelError } from '../kernel/ffi.ts';
import { openRoutes, type Routes } from '../kernel/links.ts';
import type { Link } from '../kernel/netlink/link-messages.ts';
import type { NftablesKernel } from '../kernel/nftables/interface.ts';
import { removeTables, tableLabel } from '../kernel/nftables/remove-tables.ts';
import { openNftables } from '../kernel/nftables/table.ts';
import { bits } from '../net/cidr.ts';
import { familyOf, type Ip, type IpFamily } from '../net/ip.ts';
import { diff } from '../rules/nftables/diff.ts';
import type { Place } from './places.ts';
import { compileNotrack, nodeLocalName } from './program.ts';

const families: readonly IpFamily[] = ['IPv4', 'IPv6'];

/**
 * What node-local DNS has in the kernel: a device with its addresses, and rules without which its packets would be
 * tracked. Both have a name that is nobody else's, outlive the process, and are taken over by its successor. The device
 * is called as NodeLocal DNSCache calls its own, so that one follows the other, too.
 */
export interface NodeLocalNetwork {
  /** Whether somebody has made the device: a server that runs, or one that was killed. */
  readonly exists: () => boolean;
  /**
   * Gives the device the addresses that it lacks; makes it if need be. Gives what it was that was missing.
   * @throws SignalboxError `ADDRESS_TAKEN`, `KERNEL_REFUSED`, `KERNEL_LACKS_FEATURE`
   */
  readonly addAddresses: (ips: ReadonlySet<Ip>) => string[];
  /** Takes all other addresses off the device. */
  readonly keepAddresses: (ips: ReadonlySet<Ip>) => void;
  /**
   * Makes the rules those of these places. Gives the tables that were changed.
   * @throws SignalboxError `KERNEL_REFUSED`
   */
  readonly setRules: (places: readonly Place[]) => string[];
  /** Removes the rules; gives the tables that there were. */
  readonly removeRules: () => string[];
  /** Removes the device with its addresses, if there is one; gives its name then. */
  readonly removeDevice: () => string[];
  readonly close: () => void;
}

/**
 * Opens the kernel's side of the network namespace of this process.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`; `KERNEL_REFUSED` without CAP_NET_ADMIN
 */
export function openNodeLocalNetwork(): NodeLocalNetwork {
  const nftables = permitted(openRules);
  const routes = openRoutes();
  return {
    exists: () => routes.getLink(nodeLocalName) !== undefined,
    addAddresses: (ips) => permitted(() => whileOthersChange(() => addAddresses(routes, ips))),
    keepAddresses: (ips) => permitted(() => whileOthersChange(() => keepAddresses(routes, ips))),
    setRules: (places) =>
      permitted(() =>
        families
          .filter((family) => setRules(nftables, places, family))
          .map((family) => tableLabel(family, nodeLocalName)),
      ),
    removeRules: () => permitted(() => removeTables(nftables, nodeLocalName)),
    removeDevice: () => permitted(() => (removeDevice(routes) ? [`device ${nodeLocalName}`] : [])),
    close: () => {
      nftables.close();
      routes.close();
    },
  };
}

function openRules(): NftablesKernel {
  try {
    return openNftables(nodeLocalName);
  } catch (error) {
    if (!isSignalboxError(error, 'KERNEL_LACKS_NFTABLES')) throw error;
    throw new SignalboxError('KERNEL_LACKS_NFTABLES', {
      object: 'the kernel',
      problem: 'has no nf_tables, by which node-local DNS is kept out of connection tracking',
      remedy: 'load it (as root: modprobe nf_tables), or run `signalbox dns` without --node-local',
      cause: error,
    });
  }
}

/** A predecessor may take the device away, or a successor make it, between one look and the next step. */
function whileOthersChange<T>(run: () => T): T {
  for (let tries = 3; tries > 1; tries--) {
    try {
      return run();
    } catch (error) {
      if (!isKernelError(error, 'ENODEV', 'EEXIST')) throw error;
    }
  }
  return run();
}

/** What the kernel refuses, as what a user can do about it. */
function permitted<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    if (!isKernelError(error)) throw error;
    throw new SignalboxError('KERNEL_REFUSED', {
      object: 'node-local DNS',
      problem: `was refused by the kernel: ${error.message}`,
      remedy: isKernelError(error, 'EPERM', 'EACCES')
        ? "run it as root with CAP_NET_ADMIN, in the node's network namespace"
        : `see whether something else changes the device ${nodeLocalName}`,
      cause: error,
    });
  }
}

function addAddresses(routes: Routes, ips: ReadonlySet<Ip>): string[] {
  const existing = routes.getLink(nodeLocalName);
  const entries = routes.listAddresses();
  const elsewhere = entries.find(({ ip, link }) => ips.has(ip) && link !== existing?.index);
  if (elsewhere !== undefined) throw taken(elsewhere.ip, routes.getLink(elsewhere.link)?.name ?? 'another device');
  const device = existing ?? makeDevice(routes);
  const done = existing === undefined ? [`device ${nodeLocalName}`] : [];
  if (!device.up) routes.setLink(device.index, { up: true });
  for (const ip of ips) {
    const isNew = routes.addAddress(device.index, { ip, prefix: bits(familyOf(ip)) });
    if (isNew) done.push(`address ${ip}`);
  }
  return done;
}

/** A dummy device; where the kernel has none a bridge without ports does as well, as nothing is ever sent by it. */
function makeDevice(routes: Routes): Link {
  try {
    routes.createDummy({ name: nodeLocalName, up: true });
  } catch (error) {
    if (!(error instanceof SignalboxError)) throw error;
    routes.createBridge({ name: nodeLocalName, up: true });
  }
  const made = routes.getLink(nodeLocalName);
  if (made === undefined) throw new KernelError(`make the device ${nodeLocalName}`, errnoNumber.ENODEV);
  return made;
}

function taken(ip: Ip, device: string): SignalboxError {
  return new SignalboxError('ADDRESS_TAKEN', {
    object: `the address ${ip}`,
    problem: `is on the device ${device} of this node`,
    remedy: 'choose an address that the node does not have; beside proxy mode ipvs none of a Service',
  });
}

function keepAddresses(routes: Routes, ips: ReadonlySet<Ip>): void {
  const device = routes.getLink(nodeLocalName);
  if (device === undefined) return;
  for (const address of routes.listAddresses(device.index)) {
    // The kernel gives every device one of these.
    if (ips.has(address.ip) || address.ip.startsWith('fe80:')) continue;
    routes.removeAddress(device.index, address);
  }
}

function removeDevice(routes: Routes): boolean {
  return routes.deleteLink(nodeLocalName);
}

function setRules(nftables: NftablesKernel, places: readonly Place[], family: IpFamily): boolean {
  const program = compileNotrack(places, family);
  if (program === undefined) return removeRules(nftables, family);
  const change = diff(nftables.load(family), program);
  if (change.commands.length + change.units.length === 0) return false;
  nftables.apply(change);
  return true;
}

function removeRules(nftables: NftablesKernel, family: IpFamily): boolean {
  if (!nftables.has(family)) return false;
  nftables.remove(family);
  return true;
}
