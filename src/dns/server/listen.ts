import { networkInterfaces } from 'node:os';
import type { Logger } from '../../component/log.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import type { ListenAddress } from '../config/types.ts';
import type { ServerTls } from '../tls-files.ts';
import { defaultTcpLimits, listenTcp, type StreamListener } from './tcp.ts';
import { type Listener, listenUdp } from './udp.ts';

/**
 * Serves DNS at an address, UDP and TCP, or TLS alone; without an address, at all addresses of each family the machine has. The address of
 * the result is the first of them.
 * @throws SignalboxError `PORT_TAKEN`; nothing is left open then
 */
export async function listenAt(
  address: ListenAddress,
  { responder, log, tls }: { readonly responder: Responder; readonly log: Logger; readonly tls: ServerTls | undefined },
): Promise<StreamListener> {
  const opened: Listener[] = [];
  const streams: StreamListener[] = [];
  const close = async () => {
    await Promise.all(opened.splice(0).map((listener) => listener.close()));
  };
  let { port } = address;
  const [first, ...others]: [Ip, ...Ip[]] = address.ip === undefined ? anyAddresses() : [address.ip];
  try {
    for (const ip of [first, ...others]) {
      const tcp = await listenTcp({ ip, port }, { responder, limits: defaultTcpLimits, log, tls });
      opened.push(tcp);
      streams.push(tcp);
      // The same port for all, where the system chose one.
      port = tcp.address.port;
      if (tls === undefined) opened.push(await listenUdp({ ip, port }, responder, log));
    }
  } catch (error) {
    await close();
    throw error;
  }
  const secure = (other: ServerTls) => {
    for (const stream of streams) stream.secure(other);
  };
  return { address: { ip: first, port }, secure, close };
}

function anyAddresses(): [Ip, ...Ip[]] {
  const hasIpv6 = Object.values(networkInterfaces()).some((addresses = []) =>
    addresses.some(({ family }) => family === 'IPv6'),
  );
  return [parseIp('0.0.0.0'), ...(hasIpv6 ? [parseIp('::')] : [])];
}
