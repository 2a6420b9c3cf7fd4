import { readFileSync } from 'node:fs';
import { familyOf, type Ip, ipToBytes } from '../net/ip.ts';
import { littleEndian } from './netlink/attributes.ts';

// include/net/tcp_states.h: TCP_LISTEN
const listening = '0A';

/** How many TCP sockets listen at exactly this address, in the network namespace of this process (proc_net_tcp). */
export function countListeners(ip: Ip, port: number): number {
  const local = `${hexOf(ip)}:${port.toString(16).toUpperCase().padStart(4, '0')}`;
  return linesOf(familyOf(ip) === 'IPv4' ? '/proc/self/net/tcp' : '/proc/self/net/tcp6').filter((line) => {
    const [, address, , state] = line.trim().split(/\s+/);
    return address === local && state === listening;
  }).length;
}

function linesOf(path: string): string[] {
  return readFileSync(path, 'latin1').split('\n').slice(1);
}

/** The kernel prints words of four octets as numbers of the machine. */
function hexOf(ip: Ip): string {
  const bytes = Buffer.from(ipToBytes(ip));
  return (littleEndian ? bytes.swap32() : bytes).toString('hex').toUpperCase();
}
