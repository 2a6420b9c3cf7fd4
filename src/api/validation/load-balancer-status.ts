import { isDeepStrictEqual } from 'node:util';
import { tryParseIp } from '../../net/ip.ts';
import type { FieldErrors } from '../field-error.ts';
import type { LoadBalancerIngress, Service } from '../generated/types.ts';
import { dns1123Subdomain } from '../names.ts';
import { ipText } from './address-text.ts';

const field = 'status.loadBalancer.ingress';
const ipModes = ['Proxy', 'VIP'];

/** Checks where a balancer says it is, whenever that changes. */
export function validateLoadBalancerStatus(next: Service, old: Service, errors: FieldErrors): void {
  const ingress = next.status?.loadBalancer?.ingress ?? [];
  if (isDeepStrictEqual(ingress, old.status?.loadBalancer?.ingress ?? [])) return;
  if (next.spec?.type !== 'LoadBalancer' && ingress.length > 0)
    errors.forbidden(field, 'may only be used when `spec.type` is "LoadBalancer"');
  for (const [i, one] of ingress.entries()) validateIngress(one, `${field}[${i}]`, errors);
}

function validateIngress({ ip, ipMode, hostname }: LoadBalancerIngress, path: string, errors: FieldErrors): void {
  if (ip) errors.invalidEach(`${path}.ip`, ip, ipText(ip));
  if (ipMode !== undefined && !ip) errors.forbidden(`${path}.ipMode`, 'may not be specified when `ip` is not set');
  else if (ipMode !== undefined && !ipModes.includes(ipMode)) errors.notSupported(`${path}.ipMode`, ipMode, ipModes);
  if (!hostname) return;
  errors.invalidEach(`${path}.hostname`, hostname, dns1123Subdomain(hostname));
  if (tryParseIp(hostname) !== undefined)
    errors.invalid(`${path}.hostname`, hostname, 'must be a DNS name, not an IP address');
}
