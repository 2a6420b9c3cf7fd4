import type { Service } from '../api/generated/types.ts';
import { tryParseIp } from '../net/ip.ts';

/** The cluster IPs that a Service has, in the one spelling by which they can be compared. */
export function addressesOf(service: Service | undefined): string[] {
  return (service?.spec?.clusterIPs ?? []).flatMap((text) => tryParseIp(text) ?? []);
}

/** The node ports that a Service has. */
export function portsOf(service: Service | undefined): number[] {
  const { ports = [], healthCheckNodePort } = service?.spec ?? {};
  return [...ports.map((port) => port.nodePort), healthCheckNodePort].filter(
    (port): port is number => port !== undefined && port !== 0,
  );
}
