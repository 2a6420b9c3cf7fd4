import { familyOf, type Ip, ipToBytes } from '../net/ip.ts';

// include/linux/socket.h
const AF_INET = 2;
const AF_INET6 = 10;

/** The address family of the kernel's own that an address belongs to. */
export function addressFamily(ip: Ip): number {
  return familyOf(ip) === 'IPv4' ? AF_INET : AF_INET6;
}

/** `struct sockaddr_in` or `sockaddr_in6`: family in host order, port and address in network order. */
export function socketAddress(ip: Ip, port: number): Uint8Array {
  const isIpv4 = familyOf(ip) === 'IPv4';
  const bytes = new Uint8Array(isIpv4 ? 16 : 28);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, addressFamily(ip), true);
  view.setUint16(2, port, false);
  // Of IPv6 the flow information comes first.
  bytes.set(ipToBytes(ip), isIpv4 ? 4 : 8);
  return bytes;
}
