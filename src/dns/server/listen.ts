import { networkInterfaces } from 'node:os';
import type { Logger } from '../../component/log.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import type { ListenAddress } from '../config/types.ts';
import { defaultTcpLimits, listenTcp } from './tcp.ts';
import { type Listener, listenUdp } from './udp.ts';

/**
 * Serves DNS at an address, UDP and TCP; without one, at all addresses of each family the machine has. The address of
 * the result is the first of them.
 * @throws SignalboxError `PORT_TAKEN`; nothing is left open then
 */
export async function listenAt(
  address: ListenAddress,
  { responder, log }: { readonly responder: Responder; readonly log: Logger },
): Promise<Listener> {
  const opened: Listener[] = [];
  const close = async () => {
    await Promise.all(opened.splice(0).map((listener) => listener.close()));
  };
  let { port } = address;
  const [first, ...others]: [Ip, ...Ip[]] = address.ip === undefined ? anyAddresses() : [address.ip];
  try {
    for (const ip of [first, ...others]) {
      const tcp = await listenTcp({ ip, port }, { responder, limits: defaultTcpLimits, log });
      opened.push(tcp);
      // The same port for all, where the system chose one.
      port = tcp.address.port;
      opened.push(await listenUdp({ ip, port }, responder, log));
    }
  } catch (error) {
    await close();
    throw error;
  }
  return { address: { ip: first, port }, close };
}

function anyAddresses(): [Ip, ...Ip[]] {
  const hasIpv6 = Object.values(networkInterfaces()).some((addresses = []) =>
    addresses.some(({ family }) => family === 'IPv6'),
  );
  return [parseIp('0.0.0.0'), ...(hasIpv6 ? [parseIp('::')] : [])];
}
