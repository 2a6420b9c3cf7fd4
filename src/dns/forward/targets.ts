import { readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { SignalboxError } from '../../errors/error.ts';
import { type Ip, isLoopback, isUnspecified, tryParseIp } from '../../net/ip.ts';
import { parseResolvConf, resolverAddresses } from '../../net/resolv-conf.ts';
import type { DnsTransport, ForwardTarget, ListenAddress } from '../config/types.ts';
import type { ServerAddress } from './address.ts';

/** Another server, and how it is spoken to. */
export interface TargetServer extends ServerAddress {
  readonly transport: DnsTransport;
  /** The name its certificate must have, in place of that of the settings. */
  readonly serverName?: string;
}

/** More than any resolver library reads. */
const maxServers = 15;

/** Servers that targets name. */
interface Targets {
  readonly servers: readonly TargetServer[];
  /** Those among what was named that are this server itself. */
  readonly itself: readonly TargetServer[];
}

/**
 * The servers that targets name, who asks apart, which listens at `own`: a resolv.conf copied from a host may well
 * name a loopback address at which, in here, nobody else listens.
 * @throws SignalboxError `INVALID_CONFIG` when a file that names them cannot be read
 */
export async function readTargets(targets: readonly ForwardTarget[], own: readonly ListenAddress[]): Promise<Targets> {
  const lists = targets.map(async (target) =>
    target.kind === 'server' ? [target] : await readResolvConf(target.path),
  );
  const interfaceAddresses = Object.values(networkInterfaces()).flatMap((addresses = []) =>
    addresses.map(({ address }) => tryParseIp(address)),
  );
  const isOfHost = (ip: Ip) => isLoopback(ip) || interfaceAddresses.includes(ip);
  const isSelf = (server: TargetServer) =>
    own.some(
      ({ ip, port, transport }) =>
        port === server.port &&
        transport === server.transport &&
        (ip === server.ip || (isAny(ip) && isOfHost(server.ip))),
    );
  const named = (await Promise.all(lists)).flat();
  return { servers: named.filter((server) => !isSelf(server)), itself: named.filter(isSelf) };
}

function isAny(ip: Ip | undefined): boolean {
  return ip === undefined || isUnspecified(ip);
}

/** The servers that a resolv.conf names, in its order. */
async function readResolvConf(path: string): Promise<TargetServer[]> {
  try {
    const addresses = resolverAddresses(parseResolvConf(await readFile(path, 'utf8')));
    return addresses.slice(0, maxServers).map((ip) => ({ ip, port: 53, transport: 'dns' }));
  } catch (cause) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: path,
      problem: 'cannot be read',
      remedy: 'name the servers to ask instead, or another file',
      cause,
    });
  }
}
