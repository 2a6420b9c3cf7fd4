import { familyOf, tryParseIp } from '../../net/ip.ts';
import type { FieldErrors } from '../field-error.ts';
import type { ServiceSpec } from '../generated/types.ts';
import { ipText } from './address-text.ts';

const families = ['IPv4', 'IPv6'];
const policies = ['PreferDualStack', 'RequireDualStack', 'SingleStack'];
const unchangeable = 'may not change once set';

/** Checks what a Service says of its cluster IPs and their families, as far as that can be seen without a cluster. */
export function validateClusterIpFields(spec: ServiceSpec, errors: FieldErrors): void {
  if (spec.type === 'ExternalName') return;
  validateSingular(spec, errors);
  validateFamilies(spec, errors);
  const before = errors.list.length;
  validateEachIp(spec.clusterIPs ?? [], errors);
  if ((spec.clusterIPs ?? []).length > 2)
    errors.invalid('spec.clusterIPs', spec.clusterIPs, 'may only hold up to 2 values');
  // Families of what is no address say nothing.
  if (errors.list.length === before) validateFamiliesOfIps(spec, errors);
}

/** `clusterIP` and the first of `clusterIPs` are one field in two spellings. */
function validateSingular({ clusterIP, clusterIPs = [] }: ServiceSpec, errors: FieldErrors): void {
  if (!clusterIP) {
    if (clusterIPs.length > 0)
      errors.invalid('spec.clusterIPs', clusterIPs, 'must be empty when `clusterIP` is not specified');
  } else if (clusterIPs.length === 0) errors.required('spec.clusterIPs');
  else if (clusterIPs[0] !== clusterIP)
    errors.invalid('spec.clusterIPs', clusterIPs, 'first value must match `clusterIP`');
}

function validateFamilies({ ipFamilies = [], ipFamilyPolicy }: ServiceSpec, errors: FieldErrors): void {
  for (const [i, family] of ipFamilies.entries()) {
    if (!families.includes(family)) errors.notSupported(`spec.ipFamilies[${i}]`, family, families);
    if (ipFamilies.indexOf(family) < i) errors.duplicate(`spec.ipFamilies[${i}]`, family);
  }
  if (ipFamilyPolicy !== undefined && !policies.includes(ipFamilyPolicy))
    errors.notSupported('spec.ipFamilyPolicy', ipFamilyPolicy, policies);
}

function validateEachIp(ips: readonly string[], errors: FieldErrors): void {
  for (const [i, ip] of ips.entries()) {
    if (i === 0 && ip === 'None') {
      if (ips.length > 1) errors.invalid('spec.clusterIPs', ips, "'None' must be the first and only value");
    } else errors.invalidEach(`spec.clusterIPs[${i}]`, ip, ipText(ip));
  }
}

function validateFamiliesOfIps({ clusterIPs = [], ipFamilies = [] }: ServiceSpec, errors: FieldErrors): void {
  if (clusterIPs[0] === 'None') return;
  const found = clusterIPs.map(familyOfText);
  if (new Set(found).size < found.length)
    errors.invalid('spec.clusterIPs', clusterIPs, 'may specify no more than one IP for each IP family');
  for (const [i, family] of found.entries()) {
    const named = ipFamilies[i];
    if (named !== undefined && families.includes(named) && named !== family)
      errors.invalid(
        `spec.clusterIPs[${i}]`,
        clusterIPs[i],
        `expected an ${named} value as indicated by \`ipFamilies[${i}]\``,
      );
  }
}

function familyOfText(text: string): string {
  const ip = tryParseIp(text);
  return ip === undefined ? '' : familyOf(ip);
}

/**
 * The first cluster IP and family stay as they are for a Service's life; a second one may come, and go when the policy
 * is single-stack. Only a Service that is or becomes an ExternalName is free of this, and one that becomes headless or
 * ceases to be has other families.
 */
export function validateClusterIpUpdate(spec: ServiceSpec, before: ServiceSpec, errors: FieldErrors): void {
  if (spec.type === 'ExternalName' || before.type === 'ExternalName') return;
  const isHeadless = spec.clusterIPs?.[0] === 'None';
  const wasHeadless = before.clusterIPs?.[0] === 'None';
  if (isHeadless && wasHeadless) return;
  const policy = spec.ipFamilyPolicy;
  const fields = { field: 'spec.clusterIPs', singular: 'clusterIP', policy, errors };
  validateKept(spec.clusterIPs ?? [], before.clusterIPs ?? [], fields);
  if (isHeadless === wasHeadless)
    validateKept(spec.ipFamilies ?? [], before.ipFamilies ?? [], {
      ...fields,
      field: 'spec.ipFamilies',
      singular: 'ipFamily',
    });
}

interface KeptField {
  readonly field: string;
  readonly singular: string;
  readonly policy: string | undefined;
  readonly errors: FieldErrors;
}

function validateKept(
  next: readonly string[],
  old: readonly string[],
  { field, singular, policy, errors }: KeptField,
): void {
  if (next.length === old.length) {
    for (const [i, value] of old.entries()) if (next[i] !== value) errors.invalid(`${field}[${i}]`, next, unchangeable);
    return;
  }
  if (next.length === 0) errors.invalid(`${field}[0]`, next, `primary ${singular} can not be unset`);
  else if (old.length > 0 && next[0] !== old[0]) errors.invalid(`${field}[0]`, next, unchangeable);
  if (next.length === 1 && old.length > 1 && policy !== 'SingleStack')
    errors.invalid(
      'spec.ipFamilyPolicy',
      policy,
      `must be set to 'SingleStack' when releasing the secondary ${singular}`,
    );
}
