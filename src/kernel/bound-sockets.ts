import { familyOf, type Ip, isUnspecified } from '../net/ip.ts';
import { bind, close, listen, setSocketOption, socket, socketName } from './ffi.ts';
import { addressFamily, socketAddress } from './socket-address.ts';

// include/uapi/linux/socket.h, asm-generic/socket.h
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;
/** What has each datagram come with the address it was sent to: ip(7), ipv6(7). */
const tellDestination = {
  IPv4: { level: 0, name: 8 /* IP_PKTINFO */ },
  IPv6: { level: IPPROTO_IPV6, name: 49 /* IPV6_RECVPKTINFO */ },
} as const;
/** Lets addresses be sent from that are on no device, as those of a route of the type `local`. IPv4 does so anyway. */
const IPV6_FREEBIND = 78;

const backlog = 511;

/** Binds a socket; gives its file descriptor. */
export type BindSocket = (type: 'tcp' | 'udp', address: Ip, port: number) => number;

/**
 * A socket bound in the network namespace of the calling thread, as a file descriptor, which may be handed to another
 * process. A TCP socket listens: connections wait in the kernel until that process accepts them. IPv6 takes no IPv4. A
 * UDP socket of all addresses (`0.0.0.0`, `::`) tells of each datagram which of them it was sent to.
 * @throws KernelError `EADDRINUSE`, `EACCES`, …
 */
export const bindSocket: BindSocket = (type, address, port) => open({ type, address, port, isShared: false });

/**
 * As `bindSocket`, at an address where others of the same user listen too, if all have it shared (`SO_REUSEPORT`): the
 * kernel spreads what comes over them.
 * @throws KernelError `EADDRINUSE` when somebody has it for itself
 */
export const bindSharedSocket: BindSocket = (type, address, port) => open({ type, address, port, isShared: true });

interface Binding {
  readonly type: 'tcp' | 'udp';
  readonly address: Ip;
  readonly port: number;
  readonly isShared: boolean;
}

function open({ type, address, port, isShared }: Binding): number {
  const family = familyOf(address);
  const fd = socket(addressFamily(address), type === 'tcp' ? SOCK_STREAM : SOCK_DGRAM, 0);
  try {
    if (family === 'IPv6') setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (type === 'tcp') setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (isShared) setSocketOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (type === 'udp' && isUnspecified(address)) {
      const { level, name } = tellDestination[family];
      // Before it is bound: no datagram comes without.
      setSocketOption(fd, level, name, 1);
      if (family === 'IPv6') setSocketOption(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1);
    }
    bind(fd, socketAddress(address, port));
    if (type === 'tcp') listen(fd, backlog);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** The port a socket is bound to. */
export function boundPort(fd: number): number {
  // It stands at the same place in the addresses of both families.
  return new DataView(socketName(fd).buffer).getUint16(2);
}
