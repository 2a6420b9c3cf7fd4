import { createHash } from 'node:crypto';
import { type Ip, parseIp } from '../net/ip.ts';
import type { RelayTarget } from '../relay/relay.ts';
import type { Publication } from './publications.ts';

const loopback = parseIp('127.0.0.1');
const anyPort: RelayTarget = { ip: loopback, port: 0 };
const dnsPort = 10_053;
/** Added to a balancer's port below 1024, which an ordinary user may not have: 80 becomes 8080. */
const balancerOffset = 8000;
/** Addresses that are tried for a Service to have for itself. */
const probes = 8;

/** What a choice goes by beside the publication. */
export interface ChoiceOptions {
  /** What it had before. */
  readonly earlier: RelayTarget | undefined;
  /** Whether another publication has it, or had it and may come back for it. */
  readonly isReserved: (address: RelayTarget) => boolean;
  /** Differs between clusters of one machine, so that equal Services of theirs do not want the same addresses. */
  readonly salt: string;
}

/**
 * Where on the host's loopback a publication may be, the best first; port 0 is any that is free. A node port is looked for
 * under its number and a balancer's port where it is easily found; what was chosen once comes before what is second
 * best, so that it stays.
 */
export function candidates(publication: Publication, { earlier, isReserved, salt }: ChoiceOptions): RelayTarget[] {
  const before = earlier === undefined ? [] : [earlier];
  const inOrder = orderOf(publication, before, salt);
  const seen = new Set<string>();
  return inOrder.filter((address) => {
    const text = addressText(address);
    if (seen.has(text) || (isReserved(address) && !isByRight(publication, address))) return false;
    seen.add(text);
    return true;
  });
}

/** A node port belongs to one Service only: what else has its number here is to be somewhere else. */
function isByRight({ way, knownBy }: Publication, { port }: RelayTarget): boolean {
  return way === 'nodePort' && port === knownBy;
}

function orderOf({ way, service, knownBy }: Publication, before: RelayTarget[], salt: string): RelayTarget[] {
  switch (way) {
    case 'nodePort':
      return [{ ip: loopback, port: knownBy }, ...before, anyPort];
    case 'loadBalancer':
      return [...before, { ip: loopback, port: knownBy < 1024 ? balancerOffset + knownBy : knownBy }, anyPort];
    case 'dns':
      return [...before, { ip: loopback, port: dnsPort }, anyPort];
    case 'ownAddress':
      return [...before, ...ownAddresses(`${salt}/${service}`).map((ip) => ({ ip, port: knownBy }))];
  }
}

/** Of 127.0.0.0/8, far from where other programs have theirs (127.0.0.1, 127.0.0.53, 127.0.1.1). */
export function ownAddresses(of: string): Ip[] {
  return Array.from({ length: probes }, (_, probe) => {
    const [a = 0, b = 0, c = 0] = createHash('sha256').update(`${probe} ${of}`).digest();
    return parseIp(`127.${1 + (a % 254)}.${b}.${1 + (c % 254)}`);
  });
}

/** `127.0.0.1:30080` */
export function addressText({ ip, port }: RelayTarget): string {
  return `${ip}:${port}`;
}
