import { SignalboxError } from '../../errors/error.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import { errnoNumber, isKernelError, KernelError } from '../ffi.ts';
import { openRoutes, type Routes } from '../links.ts';
import { deleteAddressRequest, newAddressRequest } from '../netlink/address-messages.ts';
import { TransactionError } from '../netlink/failure.ts';
import { type NetlinkSocket, openNetlink } from '../netlink/socket.ts';

/** An address that the kernel did not add or remove. */
export interface RefusedAddress {
  readonly ip: Ip;
  readonly error: SignalboxError;
}

/** The addresses on one dummy device of ours. The real kernel and the fake both are one. */
export interface ServiceAddresses {
  /**
   * Makes the device and takes it up.
   * @throws SignalboxError `KERNEL_LACKS_IPVS` when the kernel has no dummy devices
   */
  makeDevice(): void;
  /** Addresses on the device; none when there is no such device. Not the one that the kernel gives it by itself. */
  list(): ReadonlySet<Ip>;
  /** Addresses of all other devices of the node. */
  others(): ReadonlySet<Ip>;
  /** Adds addresses, each alone (`/32`, `/128`); gives those that the kernel refused. */
  add(ips: readonly Ip[]): RefusedAddress[];
  /** Takes addresses off. */
  remove(ips: readonly Ip[]): RefusedAddress[];
  /** Whether there was a device to delete. */
  deleteDevice(): boolean;
  close(): void;
}

/** Opens the dummy device of this name in the current network namespace; it need not be there yet. */
export function openServiceAddresses(device: string): ServiceAddresses {
  return new DummyDevice(device);
}

/** Changes in one send: their refusals all fit into the receive buffer. */
const changesAtOnce = 1000;

class DummyDevice implements ServiceAddresses {
  readonly #name: string;
  readonly #routes: Routes = openRoutes();
  readonly #socket: NetlinkSocket = openNetlink('route');

  constructor(name: string) {
    this.#name = name;
  }

  makeDevice(): void {
    const link = this.#routes.getLink(this.#name);
    if (link !== undefined) {
      if (!link.up) this.#routes.setLink(link.index, { up: true });
      return;
    }
    try {
      this.#routes.createDummy({ name: this.#name, up: true });
    } catch (error) {
      if (!(error instanceof SignalboxError)) throw error;
      throw new SignalboxError('KERNEL_LACKS_IPVS', {
        object: 'the kernel',
        problem: 'has no dummy devices, which hold the addresses of Services',
        remedy: 'load them (as root: modprobe dummy), or choose another proxy mode',
        cause: error,
      });
    }
  }

  list(): ReadonlySet<Ip> {
    if (this.#routes.getLink(this.#name) === undefined) return new Set();
    return new Set(this.#on(this.#name).filter((ip) => !isLinkLocal(ip)));
  }

  others(): ReadonlySet<Ip> {
    // Device by device: there may be tens of thousands on ours.
    const devices = this.#routes.listLinks().filter(({ name }) => name !== this.#name);
    return new Set(devices.flatMap(({ index }) => this.#on(index)));
  }

  add(ips: readonly Ip[]): RefusedAddress[] {
    return this.#change(ips, newAddressRequest, errnoNumber.EEXIST);
  }

  remove(ips: readonly Ip[]): RefusedAddress[] {
    return this.#change(ips, deleteAddressRequest, errnoNumber.EADDRNOTAVAIL);
  }

  deleteDevice(): boolean {
    return this.#routes.deleteLink(this.#name);
  }

  close(): void {
    this.#routes.close();
    this.#socket.close();
  }

  /** A device that has gone in the meantime has none. */
  #on(device: string | number): Ip[] {
    try {
      return this.#routes.listAddresses(device).map(({ ip }) => ip);
    } catch (error) {
      if (isKernelError(error, 'ENODEV')) return [];
      throw error;
    }
  }

  #change(ips: readonly Ip[], request: typeof newAddressRequest, already: number): RefusedAddress[] {
    if (ips.length === 0) return [];
    const link = this.#routes.getLink(this.#name);
    if (link === undefined) throw new KernelError(`change the addresses of ${this.#name}`, errnoNumber.ENODEV);
    const refused: RefusedAddress[] = [];
    for (let from = 0; from < ips.length; from += changesAtOnce) {
      const chunk = ips.slice(from, from + changesAtOnce);
      const requests = chunk.map((ip) => request(link.index, { ip, prefix: hostPrefix(ip) }, this.#name));
      try {
        this.#socket.transact(requests);
      } catch (error) {
        if (!(error instanceof TransactionError) || error.overrun) throw error;
        for (const { index, errno, detail } of error.failures) {
          const ip = chunk[index];
          if (ip !== undefined && errno !== already) refused.push({ ip, error: this.#refusal(ip, errno, detail) });
        }
      }
    }
    return refused;
  }

  #refusal(ip: Ip, errno: number, detail: string | undefined): SignalboxError {
    const cause = new KernelError(`change the address ${ip}`, errno, detail);
    return new SignalboxError('KERNEL_REFUSED', {
      object: `the address ${ip} of the device ${this.#name}`,
      problem: `was refused by the kernel: ${cause.message}`,
      remedy: cause.code === 'EPERM' ? 'run with CAP_NET_ADMIN' : 'see whether something else uses the address',
      cause,
    });
  }
}

function hostPrefix(ip: Ip): number {
  return familyOf(ip) === 'IPv4' ? 32 : 128;
}

/** fe80::/10: the address that the kernel gives a device itself. */
function isLinkLocal(ip: Ip): boolean {
  return /^fe[89ab][0-9a-f]:/.test(ip);
}
