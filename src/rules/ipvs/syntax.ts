import type { Ip, IpFamily } from '../../net/ip.ts';
import type { Protocol } from '../../net/port.ts';

/**
 * IPVS's table of virtual servers as values. Words are ipvsadm(8)'s own; what it calls a virtual service is a virtual
 * server here, as Kubernetes has another meaning for the word Service.
 */

/** What clients send to: an address and port, or packets of a family with a mark that rules have set. */
export type VirtualAddress =
  | { readonly protocol: Lowercase<Protocol>; readonly ip: Ip; readonly port: number }
  | { readonly mark: number; readonly family: IpFamily };

/** How packets get to a real server; `masquerade` is address translation, all that Kubernetes uses. */
export type Forwarding = 'masquerade' | 'local' | 'tunnel' | 'route';

/** What the sh and mh schedulers can be told, by their words for it; others have no flags. */
export type SchedulerFlag = 'fallback' | 'port';

/** How a virtual server shares its new connections out. */
export interface VirtualServerOptions {
  /** `rr`, `lc`, …: the name of a kernel module `ip_vs_…`. */
  readonly scheduler: string;
  readonly schedulerFlags: readonly SchedulerFlag[];
  /** A client stays with its real server for so long after its last connection; absent: it does not. */
  readonly persistentSeconds?: number;
}

/** One that takes connections. */
export interface RealServer {
  readonly ip: Ip;
  readonly port: number;
  /** Of 0 it gets no new connection, and keeps those it has. */
  readonly weight: number;
  readonly forwarding: Forwarding;
}

/** A virtual server with those that stand behind it. */
export interface VirtualServer extends VirtualServerOptions {
  readonly address: VirtualAddress;
  readonly realServers: readonly RealServer[];
}

/** One line of what `ipvsadm -R` reads. */
export type IpvsCommand =
  /** `-A` and `-E`. */
  | { readonly verb: 'add' | 'edit'; readonly address: VirtualAddress; readonly options: VirtualServerOptions }
  /** `-D`: its real servers go with it. */
  | { readonly verb: 'delete'; readonly address: VirtualAddress }
  /** `-a` and `-e`. */
  | { readonly verb: 'add-real' | 'edit-real'; readonly address: VirtualAddress; readonly realServer: RealServer }
  /** `-d`. */
  | { readonly verb: 'delete-real'; readonly address: VirtualAddress; readonly realServer: RealServer };

/** The family of a virtual address. */
export function addressFamily(address: VirtualAddress): IpFamily {
  if ('mark' in address) return address.family;
  return address.ip.includes(':') ? 'IPv6' : 'IPv4';
}

/** What tells a real server from others behind the same virtual server. */
export function realServerKey({ ip, port }: Pick<RealServer, 'ip' | 'port'>): string {
  return `${ip} ${port}`;
}

/** Whether two virtual servers share connections out in the same way. */
export function sameOptions(left: VirtualServerOptions, right: VirtualServerOptions): boolean {
  return (
    left.scheduler === right.scheduler &&
    left.persistentSeconds === right.persistentSeconds &&
    left.schedulerFlags.length === right.schedulerFlags.length &&
    left.schedulerFlags.every((flag) => right.schedulerFlags.includes(flag))
  );
}
