import type { DnsConfig, ListenAddress, ServerBlock } from '../dns/config/types.ts';
import { SignalboxError } from '../errors/error.ts';
import { type Ip, isLoopback, isUnspecified, parseIp, tryParseIp } from '../net/ip.ts';

/** Where node-local DNS is unless it is told otherwise: NodeLocal DNSCache's address, which is in many kubelets' settings. */
export const defaultAddresses: readonly Ip[] = [parseIp('169.254.20.10')];

/** What is served without connection tracking. */
export interface Place {
  readonly ip: Ip;
  readonly port: number;
  readonly protocol: 'udp' | 'tcp';
}

/**
 * Reads addresses as the command line has them, `169.254.20.10,10.96.0.10`.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseAddresses(text: string): Ip[] {
  const ips = text.split(',').map((part) => tryParseIp(part.trim()));
  const known = ips.filter((ip) => ip !== undefined);
  if (known.length === ips.length && !known.some(cannotBeHeld)) return [...new Set(known)];
  throw new SignalboxError('INVALID_CONFIG', {
    object: `--node-local ${text}`,
    problem: 'is no list of addresses that a device can have',
    remedy: 'write it as 169.254.20.10, or as 169.254.20.10,10.96.0.10',
  });
}

/** Neither one of the machine's own, nor one that means all of them. */
function cannotBeHeld(ip: Ip): boolean {
  return isLoopback(ip) || isEverywhere(ip);
}

function isEverywhere(ip: Ip | undefined): boolean {
  return ip === undefined || isUnspecified(ip);
}

/**
 * The configuration of a server that is its node's own: what listens everywhere listens at these addresses instead, by
 * default at 169.254.20.10. What names its addresses keeps them.
 * @throws SignalboxError `INVALID_CONFIG` when addresses are given and every server block names its own, or when there
 *   is none but the machine's own
 */
export function atNode(config: DnsConfig, addresses: readonly Ip[] | undefined): DnsConfig {
  const isFree = config.servers.some(({ listen }) => listen.some(({ ip }) => isEverywhere(ip)));
  if (addresses !== undefined && !isFree) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: `--node-local ${addresses.join(',')}`,
      problem: 'has no effect, as every server block names the addresses that it listens at',
      remedy: 'give --node-local alone, or take the addresses out of the configuration',
    });
  }
  const servers = config.servers.map((block) => blockAt(block, addresses ?? defaultAddresses));
  const placed = { ...config, servers };
  if (addressesOf(placed).size > 0) return placed;
  throw new SignalboxError('INVALID_CONFIG', {
    object: '--node-local',
    problem: 'has no effect, as the configuration names no address that Pods could ask',
    remedy: 'name 169.254.20.10 in it, or no address at all',
  });
}

function blockAt(block: ServerBlock, addresses: readonly Ip[]): ServerBlock {
  const listen = block.listen.flatMap((at) => (isEverywhere(at.ip) ? addresses.map((ip) => ({ ...at, ip })) : [at]));
  const distinct = new Map(listen.map((at) => [`${at.transport} ${at.ip} ${at.port}`, at]));
  return { ...block, listen: [...distinct.values()] };
}

/** The addresses that the node has for this configuration alone. */
export function addressesOf(config: DnsConfig): ReadonlySet<Ip> {
  return new Set(heldAddresses(config).map(({ ip }) => ip));
}

/** What is served at them, each once. */
export function placesOf(config: DnsConfig): Place[] {
  const places = heldAddresses(config).flatMap(({ ip, port, transport }): Place[] => {
    const tcp: Place = { ip, port, protocol: 'tcp' };
    return transport === 'tls' ? [tcp] : [{ ip, port, protocol: 'udp' }, tcp];
  });
  return [...new Map(places.map((place) => [Object.values(place).join(), place])).values()];
}

function heldAddresses({ servers }: DnsConfig): (ListenAddress & { readonly ip: Ip })[] {
  return servers
    .flatMap(({ listen }) => listen)
    .filter((at): at is ListenAddress & { readonly ip: Ip } => at.ip !== undefined && !isLoopback(at.ip));
}
