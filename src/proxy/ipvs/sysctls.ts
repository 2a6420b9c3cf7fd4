import type { IpFamily } from '../../net/ip.ts';

/** A kernel parameter of the network namespace, and what it has to be. */
export interface Setting {
  readonly name: string;
  readonly value: string;
  /** `where-known`: a kernel without it does so by itself. */
  readonly kind: 'needed' | 'where-known';
}

/** What the settings depend on. */
export interface SettingsContext {
  /** As `uname -r` tells it. */
  readonly kernelRelease: string;
  readonly strictArp: boolean;
}

/** From 5.9 on a port that a client uses again is no reason to wait a second (kernel commit f719e3754ee2). */
const reuseFixed = [5, 9] as const;

/**
 * The kernel parameters that IPVS needs for Services.
 *
 * - `conntrack`: packets that IPVS translates stay known to connection tracking, so that they can be masqueraded.
 * - `conn_reuse_mode`: before 5.9 the kernel made a client wait a second that used its port again, unless it was 0, and
 *   with 0 it sends the client to where the port's earlier connection went, be it gone or not; see `reuseFixed`.
 * - `expire_nodest_conn`: a connection to an endpoint that was deleted ends with its next packet.
 * - `expire_quiescent_template`: a client of a Service with affinity leaves an endpoint that takes no new connections.
 */
export function settingsFor(family: IpFamily, { kernelRelease, strictArp }: SettingsContext): Setting[] {
  const needed = (name: string, value: string): Setting => ({ name, value, kind: 'needed' });
  const whereKnown = (name: string, value: string): Setting => ({ name, value, kind: 'where-known' });
  return [
    needed('net.ipv4.vs.conntrack', '1'),
    ...(isBefore(kernelRelease, reuseFixed) ? [whereKnown('net.ipv4.vs.conn_reuse_mode', '0')] : []),
    whereKnown('net.ipv4.vs.expire_nodest_conn', '1'),
    whereKnown('net.ipv4.vs.expire_quiescent_template', '1'),
    family === 'IPv4' ? needed('net.ipv4.ip_forward', '1') : needed('net.ipv6.conf.all.forwarding', '1'),
    ...(strictArp && family === 'IPv4'
      ? [needed('net.ipv4.conf.all.arp_ignore', '1'), needed('net.ipv4.conf.all.arp_announce', '2')]
      : []),
  ];
}

function isBefore(release: string, [major, minor]: readonly [number, number]): boolean {
  const [, first, second] = /^(\d+)\.(\d+)/.exec(release) ?? [];
  return Number(first) < major || (Number(first) === major && Number(second) < minor);
}
