import { closeSync, openSync } from 'node:fs';
import { SignalboxError } from '../errors/error.ts';
import { familyOf, type Ip, type IpFamily } from '../net/ip.ts';
import { isKernelError } from './ffi.ts';
import {
  type AddressEntry,
  deleteAddressRequest,
  type InterfaceAddress,
  listAddressesRequest,
  type Neighbor,
  newAddressRequest,
  newNeighborRequest,
  parseAddress,
} from './netlink/address-messages.ts';
import {
  deleteLinkRequest,
  getLinkRequest,
  type Link,
  type LinkOptions,
  listLinksRequest,
  type NetnsReference,
  newLinkRequest,
  newVethRequest,
  parseLink,
  setLinkRequest,
} from './netlink/link-messages.ts';
import type { NetlinkRequest } from './netlink/message.ts';
import {
  deleteRouteRequest,
  findRouteRequest,
  listRoutesRequest,
  newRouteRequest,
  parseRoute,
  type RouteEntry,
  type RouteSpec,
  replaceRouteRequest,
} from './netlink/route-messages.ts';
import { type NetlinkSocket, openNetlink } from './netlink/socket.ts';
import { sleep } from './sleep.ts';

/** A device, by name or by index. */
export type LinkReference = string | number;

/** One end of a veth pair, or a device that stands alone. */
export interface NewDevice extends LinkOptions {
  /** The bridge it becomes a port of. */
  readonly master?: LinkReference;
}

/** The other end of a veth pair. It is down: whoever is where it is put brings it up. */
export interface NewPeer extends Omit<LinkOptions, 'up'> {
  /** Where it is put: the same network namespace unless told. */
  readonly netns?: NetnsReference;
}

/** A veth pair. */
export interface NewVeth extends NewDevice {
  readonly peer: NewPeer;
}

/** Changes of a device, all in one step; what is left out stays. */
export interface LinkSettings extends Partial<LinkOptions> {
  /** The bridge to become a port of; `null` to leave it. */
  readonly master?: LinkReference | null;
  /** The network namespace to move to. */
  readonly netns?: NetnsReference;
}

/**
 * Links, addresses, routes and neighbours of one network namespace. Each call is one or two netlink messages and
 * returns when the kernel has done it. All throw `KernelError` with the kernel's reason; `ENODEV` for a device that
 * is not there.
 */
export interface Routes {
  listLinks(): Link[];
  /** The device, or `undefined` when there is none. */
  getLink(link: LinkReference): Link | undefined;
  /**
   * Makes both ends of a veth pair in one step, each in its namespace, and this one up if told.
   * @throws KernelError `EEXIST` when a name is taken
   * @throws SignalboxError `KERNEL_LACKS_FEATURE`
   */
  createVeth(veth: NewVeth): void;
  /** As `createVeth`, for a bridge. */
  createBridge(bridge: NewDevice): void;
  /** As `createVeth`, for a dummy device. */
  createDummy(dummy: NewDevice): void;
  setLink(link: LinkReference, settings: LinkSettings): void;
  /**
   * Whether there was one to delete. A veth's other end goes with it. Blocks for about 20 ms, in which the kernel waits
   * for packets in flight; devices of a namespace that ends go without anyone waiting.
   */
  deleteLink(link: LinkReference): boolean;
  /** Addresses of one device, or of all. */
  listAddresses(link?: LinkReference): AddressEntry[];
  /**
   * Whether it was added; false when the device has it already. It is usable at once: the kernel asks nobody whether an
   * IPv6 address is taken, and its route, which a worker of the kernel's lays, is waited for (a second at most) where
   * the device is running.
   */
  addAddress(link: LinkReference, address: InterfaceAddress): boolean;
  /** Whether the device had it. */
  removeAddress(link: LinkReference, address: InterfaceAddress): boolean;
  /** Routes of one family and table: `main` (254) unless told. */
  listRoutes(family: IpFamily, table?: number): RouteEntry[];
  /** @throws KernelError `EEXIST` when there is a route to the same destination, table and metric */
  addRoute(route: RouteSpec): void;
  /** Adds a route, or puts it in the place of the one to the same destination, table and metric. */
  replaceRoute(route: RouteSpec): void;
  /** Removes the first route that has all that is given. Whether there was one. */
  deleteRoute(route: RouteSpec): boolean;
  /** Sets a neighbour's link-layer address for good. */
  addNeighbor(link: LinkReference, neighbor: Neighbor): void;
  close(): void;
}

/** Opens the routing socket of the network namespace the calling thread is in; it stays with that namespace. */
export function openRoutes(): Routes {
  return new RouteSocket(openNetlink('route'));
}

const RT_TABLE_MAIN = 254;
/** Milliseconds. */
const longestRouteWait = 1000;

class RouteSocket implements Routes {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  listLinks(): Link[] {
    return Array.from(this.#socket.dump(listLinksRequest()), (reply) => parseLink(reply.payload));
  }

  getLink(link: LinkReference): Link | undefined {
    try {
      return this.#existing(link);
    } catch (error) {
      if (isKernelError(error, 'ENODEV')) return undefined;
      throw error;
    }
  }

  createVeth({ peer, master, ...link }: NewVeth): void {
    const { netns, ...other } = peer;
    const end = { ...link, ...this.#masterOf(master) };
    withNetns(netns, (target) => this.#create('veth', newVethRequest(end, { ...other, ...target })));
  }

  createBridge(bridge: NewDevice): void {
    this.#createPlain('bridge', bridge);
  }

  createDummy(dummy: NewDevice): void {
    this.#createPlain('dummy', dummy);
  }

  setLink(link: LinkReference, { master, netns, ...rest }: LinkSettings): void {
    const device = rest.name === undefined ? link : this.#index(link);
    const change = { ...rest, ...(master === null ? { master: 0 } : this.#masterOf(master)) };
    withNetns(netns, (target) => this.#socket.request(setLinkRequest(device, { ...change, ...target })));
  }

  deleteLink(link: LinkReference): boolean {
    return this.#unless('ENODEV', deleteLinkRequest(link));
  }

  listAddresses(link?: LinkReference): AddressEntry[] {
    const index = link === undefined ? undefined : this.#index(link);
    return Array.from(this.#socket.dump(listAddressesRequest(index)), (reply) => parseAddress(reply.payload)).filter(
      (entry) => entry !== undefined,
    );
  }

  addAddress(link: LinkReference, address: InterfaceAddress): boolean {
    const index = this.#index(link);
    const isNew = this.#unless('EEXIST', newAddressRequest(index, address, `${link}`));
    if (isNew && familyOf(address.ip) === 'IPv6' && this.#existing(index).running) this.#awaitLocalRoute(address.ip);
    return isNew;
  }

  removeAddress(link: LinkReference, address: InterfaceAddress): boolean {
    return this.#unless('EADDRNOTAVAIL', deleteAddressRequest(this.#index(link), address, `${link}`));
  }

  listRoutes(family: IpFamily, table: number = RT_TABLE_MAIN): RouteEntry[] {
    try {
      return Array.from(this.#socket.dump(listRoutesRequest(family, table)), (r) => parseRoute(r.payload)).filter(
        (entry) => entry !== undefined,
      );
    } catch (error) {
      // A table comes into being with its first route.
      if (isKernelError(error, 'ENOENT')) return [];
      throw error;
    }
  }

  addRoute(route: RouteSpec): void {
    this.#socket.request(newRouteRequest(this.#resolved(route)));
  }

  replaceRoute(route: RouteSpec): void {
    this.#socket.request(replaceRouteRequest(this.#resolved(route)));
  }

  deleteRoute(route: RouteSpec): boolean {
    return this.#unless('ESRCH', deleteRouteRequest(this.#resolved(route)));
  }

  addNeighbor(link: LinkReference, neighbor: Neighbor): void {
    this.#socket.request(newNeighborRequest(this.#index(link), neighbor, `${link}`));
  }

  close(): void {
    this.#socket.close();
  }

  #awaitLocalRoute(ip: Ip): void {
    const start = performance.now();
    for (
      let wait = 0.05;
      !this.#isLocal(ip) && performance.now() - start < longestRouteWait;
      wait = Math.min(2 * wait, 5)
    ) {
      sleep(wait);
    }
  }

  #isLocal(ip: Ip): boolean {
    try {
      return this.#socket.request(findRouteRequest(ip)).some(({ payload }) => parseRoute(payload)?.type === 'local');
    } catch (error) {
      if (isKernelError(error)) return false;
      throw error;
    }
  }

  #createPlain(kind: string, { master, ...link }: NewDevice): void {
    this.#create(kind, newLinkRequest(kind, { ...link, ...this.#masterOf(master) }));
  }

  #create(kind: string, request: NetlinkRequest): void {
    try {
      this.#socket.request(request);
    } catch (error) {
      if (!isKernelError(error, 'EOPNOTSUPP')) throw error;
      throw new SignalboxError('KERNEL_LACKS_FEATURE', {
        object: request.operation ?? kind,
        problem: `failed: the kernel has no ${kind} devices`,
        remedy: `load the module (modprobe ${kind} as root) or use a kernel built with it`,
        cause: error,
      });
    }
  }

  /** Sends; `false` instead of an error for the one refusal that means there is nothing to do. */
  #unless(code: string, request: NetlinkRequest): boolean {
    try {
      this.#socket.request(request);
      return true;
    } catch (error) {
      if (isKernelError(error, code)) return false;
      throw error;
    }
  }

  #existing(link: LinkReference): Link {
    const [reply] = this.#socket.request(getLinkRequest(link));
    if (reply === undefined) throw new Error(`get link ${link}: the kernel acknowledged without a reply`);
    return parseLink(reply.payload);
  }

  #index(link: LinkReference): number {
    return typeof link === 'number' ? link : this.#existing(link).index;
  }

  #masterOf(master: LinkReference | undefined): { master?: number } {
    return master === undefined ? {} : { master: this.#index(master) };
  }

  #resolved({ device, ...route }: RouteSpec): RouteSpec<number> {
    return device === undefined ? route : { ...route, device: this.#index(device) };
  }
}

/** Opens the namespace's file for the length of the call, where it is given by path. */
function withNetns<T>(netns: NetnsReference | undefined, use: (target: { netnsFd?: number }) => T): T {
  if (netns === undefined) return use({});
  if ('fd' in netns) return use({ netnsFd: netns.fd });
  const netnsFd = openSync(netns.path, 'r');
  try {
    return use({ netnsFd });
  } finally {
    closeSync(netnsFd);
  }
}
