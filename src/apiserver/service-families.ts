import type { FieldErrors } from '../api/field-error.ts';
import type { ServiceSpec } from '../api/generated/types.ts';
import { validateClusterIpFields } from '../api/validation/service-cluster-ips.ts';
import { familyOf, type IpFamily, parseIp } from '../net/ip.ts';
import { sameItems } from './service-update.ts';

/** What families are chosen by, beside what the Service itself says. */
export interface FamilyContext {
  /** The Service as it stands; absent when it is new. */
  readonly before: ServiceSpec | undefined;
  /** The cluster's families, the preferred one first. */
  readonly available: readonly IpFamily[];
}

/**
 * Sets `ipFamilyPolicy` and `ipFamilies`, and brings `clusterIPs` in line with them (KEP 563). Returns whether
 * addresses can be allocated for the result.
 */
export function chooseFamilies(spec: ServiceSpec, context: FamilyContext, errors: FieldErrors): boolean {
  if (spec.type === 'ExternalName') return false;
  if (keepsPreference(spec, context.before)) return true;
  const isUnselected = spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0;
  spec.ipFamilyPolicy ??= context.before?.ipFamilyPolicy ?? (isUnselected ? 'RequireDualStack' : 'SingleStack');
  const complaints = errors.list.length;
  const hasComplaints = () => errors.list.length > complaints;
  validateClusterIpFields(spec, errors);
  if (hasComplaints()) return false;
  if (context.before !== undefined) releaseSecond(spec, context.before, errors);
  checkPolicy(spec, errors);
  takeFamiliesOfIps(spec, context.available, errors);
  if (hasComplaints()) return false;
  if (!isUnselected) checkAvailable(spec, context.available, errors);
  if (hasComplaints()) return false;
  completeFamilies(spec, context.available, isUnselected);
  return true;
}

/**
 * A Service that prefers two families keeps the one it has until somebody asks for more: a cluster that gets a second
 * family does not change its Services.
 */
function keepsPreference(spec: ServiceSpec, before: ServiceSpec | undefined): boolean {
  return (
    before?.ipFamilyPolicy === 'PreferDualStack' &&
    spec.ipFamilyPolicy === 'PreferDualStack' &&
    spec.type === before.type &&
    sameItems(spec.clusterIPs, before.clusterIPs) &&
    sameItems(spec.ipFamilies, before.ipFamilies)
  );
}

/** The policy `SingleStack` alone says clearly that the second address is to go; its absence alone does not. */
function releaseSecond(spec: ServiceSpec, before: ServiceSpec, errors: FieldErrors): void {
  const { clusterIPs = [], ipFamilies = [], ipFamilyPolicy } = spec;
  if (ipFamilyPolicy === 'SingleStack') {
    if (clusterIPs.length > 1 && sameItems(clusterIPs, before.clusterIPs)) spec.clusterIPs = clusterIPs.slice(0, 1);
    if (ipFamilies.length > 1 && sameItems(ipFamilies, before.ipFamilies)) spec.ipFamilies = ipFamilies.slice(0, 1);
    return;
  }
  const complain = (what: string) =>
    errors.invalid('spec.ipFamilyPolicy', ipFamilyPolicy, `must be 'SingleStack' to release the secondary ${what}`);
  if (isReduced(clusterIPs, before.clusterIPs)) complain('cluster IP');
  if (isReduced(ipFamilies, before.ipFamilies)) complain('IP family');
}

function isReduced(next: readonly string[], before: readonly string[] = []): boolean {
  return next.length > 0 && next.length < before.length;
}

function checkPolicy({ clusterIPs = [], ipFamilies = [], ipFamilyPolicy }: ServiceSpec, errors: FieldErrors): void {
  if (ipFamilyPolicy !== 'SingleStack') return;
  const complain = (what: string) => {
    const problem = `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`;
    errors.invalid('spec.ipFamilyPolicy', ipFamilyPolicy, problem);
  };
  if (clusterIPs.length === 2) complain('cluster IPs');
  if (ipFamilies.length === 2) complain('IP families');
}

/** Who names addresses need not name their families. */
function takeFamiliesOfIps(spec: ServiceSpec, available: readonly IpFamily[], errors: FieldErrors): void {
  const { clusterIPs = [] } = spec;
  const families = [...(spec.ipFamilies ?? [])];
  if (clusterIPs[0] === 'None') return;
  for (const [i, ip] of clusterIPs.entries()) {
    if (i < families.length) continue;
    const family = familyOf(parseIp(ip));
    if (available.includes(family)) families.push(family);
    else errors.invalid(`spec.clusterIPs[${i}]`, clusterIPs, `${family} is not configured on this cluster`);
  }
  spec.ipFamilies = families;
}

function checkAvailable(
  { ipFamilies = [], ipFamilyPolicy }: ServiceSpec,
  available: readonly IpFamily[],
  errors: FieldErrors,
): void {
  if (ipFamilyPolicy === 'RequireDualStack' && available.length < 2)
    errors.invalid('spec.ipFamilyPolicy', ipFamilyPolicy, 'this cluster is not configured for dual-stack services');
  for (const [i, family] of ipFamilies.entries())
    if (!available.some((one) => one === family))
      errors.invalid(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster');
}

/** Whoever maintains the endpoints of a headless Service himself may have them in families the cluster has not. */
function completeFamilies(spec: ServiceSpec, available: readonly IpFamily[], isUnselected: boolean): void {
  const [first = available[0] ?? 'IPv4', ...rest] = spec.ipFamilies ?? [];
  const isDual = spec.ipFamilyPolicy !== 'SingleStack' && (isUnselected || available.length > 1);
  if (isDual && rest.length === 0) rest.push(first === 'IPv4' ? 'IPv6' : 'IPv4');
  spec.ipFamilies = [first, ...rest];
}
