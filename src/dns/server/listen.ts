import { existsSync } from 'node:fs';
import type { Logger } from '../../component/log.ts';
import type { BindSocket } from '../../kernel/bound-sockets.ts';
import { type Ip, parseIp } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import type { ListenAddress } from '../config/types.ts';
import type { ServerTls } from '../tls-files.ts';
import { defaultTcpLimits, listenTcp, type StreamListener, serveTcp } from './tcp.ts';
import { type BoundSocket, type Listener, listenUdp, serveUdp } from './udp.ts';

/** What answers at an address. */
interface ListenParts {
  readonly responder: Responder;
  readonly log: Logger;
  /** Where the transport is TLS. */
  readonly tls: ServerTls | undefined;
}

/**
 * Serves DNS at an address, UDP and TCP, or TLS alone; without an address, at all addresses of each family the kernel has. The address of
 * the result is the first of them.
 * @throws SignalboxError `PORT_TAKEN`; nothing is left open then
 */
export async function listenAt(
  address: ListenAddress,
  { bind, ...parts }: ListenParts & { readonly bind: BindSocket },
): Promise<StreamListener> {
  const { tls } = parts;
  const opened: Listener[] = [];
  const streams: StreamListener[] = [];
  let { port } = address;
  const [first, ...others]: [Ip, ...Ip[]] = address.ip === undefined ? anyAddresses() : [address.ip];
  try {
    for (const ip of [first, ...others]) {
      const tcp = await listenTcp({ ip, port }, { ...parts, bind, limits: defaultTcpLimits });
      opened.push(tcp);
      streams.push(tcp);
      // The same port for all, where the system chose one.
      port = tcp.address.port;
      if (tls === undefined) opened.push(listenUdp({ ip, port }, { ...parts, bind }));
    }
  } catch (error) {
    await closeAll(opened);
    throw error;
  }
  const secure = (other: ServerTls) => {
    for (const stream of streams) stream.secure(other);
  };
  const sockets = opened.flatMap((listener) => listener.sockets);
  return { address: { ip: first, port }, sockets, secure, close: () => closeAll(opened) };
}

/** Serves DNS at sockets that somebody else has bound, beside them; returns how to end it. */
export async function serveAt(
  sockets: readonly BoundSocket[],
  { responder, log, tls }: ListenParts,
): Promise<() => Promise<void>> {
  const opened: Listener[] = [];
  for (const { type, ip, fd } of sockets) {
    if (type === 'udp') opened.push(serveUdp(fd, { ip, responder }));
    else opened.push(await serveTcp(fd, ip, { responder, limits: defaultTcpLimits, log, tls }));
  }
  return () => closeAll(opened);
}

async function closeAll(opened: readonly Listener[]): Promise<void> {
  await Promise.all(opened.map((listener) => listener.close()));
}

function anyAddresses(): [Ip, ...Ip[]] {
  // There is such a list where the kernel has IPv6, be it empty now.
  const hasIpv6 = existsSync('/proc/net/if_inet6');
  return [parseIp('0.0.0.0'), ...(hasIpv6 ? [parseIp('::')] : [])];
}
