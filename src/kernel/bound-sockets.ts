import { familyOf, type Ip } from '../net/ip.ts';
import { bind, close, listen, setSocketOption, socket } from './ffi.ts';
import { addressFamily, socketAddress } from './socket-address.ts';

// include/uapi/linux/socket.h, asm-generic/socket.h
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_REUSEPORT = 15;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = 26;

const backlog = 511;

/** Binds a socket; gives its file descriptor. */
export type BindSocket = (type: 'tcp' | 'udp', address: Ip, port: number) => number;

/**
 * A socket bound in the network namespace of the calling thread, as a file descriptor, which may be handed to another
 * process. A TCP socket listens: connections wait in the kernel until that process accepts them. IPv6 takes no IPv4.
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
  const fd = socket(addressFamily(address), type === 'tcp' ? SOCK_STREAM : SOCK_DGRAM, 0);
  try {
    if (familyOf(address) === 'IPv6') setSocketOption(fd, IPPROTO_IPV6, IPV6_V6ONLY, 1);
    if (type === 'tcp') setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (isShared) setSocketOption(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    bind(fd, socketAddress(address, port));
    if (type === 'tcp') listen(fd, backlog);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}
