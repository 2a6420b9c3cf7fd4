import { networkInterfaces } from 'node:os';
import type { Logger } from '../../component/log.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import type { ListenAddress } from '../config/types.ts';
import { defaultTcpLimits, listenTcp } from './tcp.ts';
import { type Listener, listenUdp } from './udp.ts';

/**
 * Serves DNS at an address, UDP and TCP; without one, at all addresses of each family the machine has. Listeners are
 * added to `opened` as they come, so that whoever called can close them when one fails.
 * @throws SignalboxError `PORT_TAKEN`
 */
export async function listenAt(
  address: ListenAddress,
  { responder, log }: { readonly responder: Responder; readonly log: Logger },
  opened: Listener[],
): Promise<void> {
  let { port } = address;
  for (const ip of address.ip === undefined ? anyAddresses() : [address.ip]) {
    const tcp = await listenTcp({ ip, port }, { responder, limits: defaultTcpLimits, log });
    opened.push(tcp);
    // The same port for all, where the system chose one.
    port = tcp.address.port;
    opened.push(await listenUdp({ ip, port }, responder, log));
  }
}

function anyAddresses(): Ip[] {
  const hasIpv6 = Object.values(networkInterfaces()).some((addresses = []) =>
    addresses.some(({ family }) => family === 'IPv6'),
  );
  return [parseIp('0.0.0.0'), ...(hasIpv6 ? [parseIp('::')] : [])];
}
