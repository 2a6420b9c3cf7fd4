import { parseDnsConfig } from '../dns/config/fields.ts';
import { type ReadConfig, readDnsConfig } from '../dns/config/read.ts';
import type { Ip } from '../net/ip.ts';
import { defaultAddresses } from './places.ts';

/**
 * Reads a configuration file as `signalbox dns` does. Without one: the names of `cluster.local`, all others from the
 * resolvers of the node's `/etc/resolv.conf`, and pages at the first of the addresses, so that none is open to others;
 * ports as NodeLocal DNSCache has them (8080 and 9253), and 8181 for `/ready`.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export async function readNodeLocalConfig(
  path: string | undefined,
  addresses: readonly Ip[] = defaultAddresses,
): Promise<ReadConfig> {
  if (path !== undefined) return readDnsConfig(path);
  const [address] = addresses;
  const page = (port: number) => ({ address, port });
  const config = parseDnsConfig({ health: page(8080), ready: page(8181), metrics: page(9253) });
  return { config, digest: 'built in' };
}
