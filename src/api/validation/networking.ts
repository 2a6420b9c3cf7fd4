import { formatCidr, parseCidr, tryParseCidr } from '../../net/cidr.ts';
import { tryParseIp } from '../../net/ip.ts';
import type { FieldErrors } from '../field-error.ts';
import type { IPAddress, ParentReference, ServiceCIDR } from '../generated/types.ts';
import { dns1123Subdomain, pathSegment, type TextCheck } from '../names.ts';
import { cidrText } from './address-text.ts';

const immutable = 'field is immutable';

/** The name of an IPAddress is the address, in the one spelling that all who look for it use. */
export const ipAddressName: TextCheck = (text) => {
  const ip = tryParseIp(text);
  if (ip === undefined) return [`ParseAddr(${JSON.stringify(text)}): unable to parse IP`];
  return ip === text ? [] : ['must be a canonical format IP address'];
};

/** Checks an IPAddress (KEP 1880): whose it is must be said in full. */
export function validateIpAddress({ spec }: IPAddress, errors: FieldErrors): void {
  const field = 'spec.parentRef';
  const parent: Partial<ParentReference> | undefined = spec?.parentRef;
  if (parent === undefined) {
    errors.required(field);
    return;
  }
  if (parent.group) errors.invalidEach(`${field}.group`, parent.group, dns1123Subdomain(parent.group));
  for (const part of ['resource', 'name'] as const) {
    const text = parent[part];
    if (text) errors.invalidEach(`${field}.${part}`, text, pathSegment(text));
    else errors.required(`${field}.${part}`);
  }
  if (parent.namespace) errors.invalidEach(`${field}.namespace`, parent.namespace, pathSegment(parent.namespace));
}

/** An address given to another is another object. */
export function validateIpAddressUpdate(next: IPAddress, old: IPAddress, errors: FieldErrors): void {
  const parts = ['group', 'resource', 'namespace', 'name'] as const;
  const [after, before]: Partial<ParentReference>[] = [next.spec?.parentRef ?? {}, old.spec?.parentRef ?? {}];
  if (parts.some((part) => (after?.[part] ?? '') !== (before?.[part] ?? '')))
    errors.invalid('spec.parentRef', next.spec?.parentRef, immutable);
}

/** Checks a ServiceCIDR (KEP 1880): one block, or one of each family. */
export function validateServiceCidr({ spec }: ServiceCIDR, errors: FieldErrors): void {
  const field = 'spec.cidrs';
  const blocks = spec?.cidrs ?? [];
  const families = new Set(blocks.map((text) => tryParseCidr(text)?.family));
  if (blocks.length === 0) errors.required(field, 'at least one CIDR required');
  else if (blocks.length > 2) errors.invalid(field, spec, 'may only hold up to 2 values');
  else if (blocks.length === 2 && (families.size < 2 || families.has(undefined))) {
    const example = 'i.e 192.168.0.0/24 and 2001:db8::/64';
    errors.invalid(field, spec, `may specify no more than one IP for each IP family, ${example}`);
  } else for (const [i, text] of blocks.entries()) errors.invalidEach(`${field}[${i}]`, text, cidrProblems(text));
}

/** A block stays; one of the other family may come to it, when a cluster gets its second family. */
export function validateServiceCidrUpdate(next: ServiceCIDR, old: ServiceCIDR, errors: FieldErrors): void {
  const blocks = next.spec?.cidrs ?? [];
  const before = old.spec?.cidrs ?? [];
  if (blocks.length < before.length) errors.invalid('spec.cidrs', blocks, immutable);
  else
    for (const [i, block] of before.entries())
      if (blocks[i] !== block) errors.invalid(`spec.cidrs[${i}]`, blocks[i], immutable);
}

const cidrProblems: TextCheck = (text) => {
  const problems = cidrText(text);
  if (problems.length > 0) return problems;
  const canonical = formatCidr(parseCidr(text));
  return text === canonical ? [] : [`must be in canonical form (${JSON.stringify(canonical)})`];
};
