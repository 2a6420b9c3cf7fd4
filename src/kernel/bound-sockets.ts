import { type Ip, ipToBytes } from '../net/ip.ts';
import { bind, close, listen, setSocketOption, socket } from './ffi.ts';

// include/uapi/linux/socket.h, asm-generic/socket.h
const AF_INET = 2;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;

const backlog = 511;

/**
 * A socket bound in the network namespace of the calling thread, as a file descriptor to be handed to another process.
 * A TCP socket listens: connections wait in the kernel until that process accepts them. IPv4.
 * @throws KernelError `EADDRINUSE`, `EACCES`, …
 */
export function bindSocket(type: 'tcp' | 'udp', address: Ip, port: number): number {
  const fd = socket(AF_INET, type === 'tcp' ? SOCK_STREAM : SOCK_DGRAM, 0);
  try {
    if (type === 'tcp') setSocketOption(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    bind(fd, socketAddress(address, port));
    if (type === 'tcp') listen(fd, backlog);
    return fd;
  } catch (error) {
    close(fd);
    throw error;
  }
}

/** struct sockaddr_in: family in host order, port and address in network order. */
function socketAddress(address: Ip, port: number): Uint8Array {
  const bytes = new Uint8Array(16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, AF_INET, true);
  view.setUint16(2, port, false);
  bytes.set(ipToBytes(address), 4);
  return bytes;
}
