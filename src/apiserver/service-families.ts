import type { FieldErrors } from '../api/field-error.ts';
import type { ServiceSpec } from '../api/generated/types.ts';
import { familyOf, type IpFamily, tryParseIp } from '../net/ip.ts';

/**
 * Sets `ipFamilyPolicy` and `ipFamilies`, and brings `clusterIP` and `clusterIPs` in line (KEP 563). `available` are
 * the cluster's families, the preferred one first. Returns whether addresses can be allocated for the result.
 */
export function chooseFamilies(spec: ServiceSpec, available: readonly IpFamily[], errors: FieldErrors): boolean {
  if (spec.type === 'ExternalName') {
    if (spec.clusterIP === '') delete spec.clusterIP;
    return false;
  }
  normalizeClusterIps(spec);
  if (spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0) {
    chooseForUnselected(spec, available);
    return true;
  }
  const before = errors.list.length;
  const families = familiesAskedFor(spec, available, errors);
  if (errors.list.length > before) return false;
  const policy = spec.ipFamilyPolicy ?? (families.length > 1 ? 'RequireDualStack' : 'SingleStack');
  if (policy === 'RequireDualStack' && available.length < 2) {
    errors.invalid('spec.ipFamilyPolicy', policy, 'this cluster is not configured for dual-stack services');
    return false;
  }
  const wanted = policy === 'SingleStack' ? 1 : 2;
  const chosen = [...families, ...available.filter((family) => !families.includes(family))].slice(0, wanted);
  if (policy === 'SingleStack' && (spec.clusterIPs ?? []).length > 1)
    spec.clusterIPs = spec.clusterIPs?.slice(0, 1) ?? [];
  spec.ipFamilyPolicy = policy;
  spec.ipFamilies = chosen;
  return true;
}

/** `clusterIP` and the first of `clusterIPs` are the same field; old clients know only the first. */
function normalizeClusterIps(spec: ServiceSpec): void {
  if ((spec.clusterIPs ?? []).length === 0 && spec.clusterIP !== undefined && spec.clusterIP !== '') {
    spec.clusterIPs = [spec.clusterIP];
  }
  const first = spec.clusterIPs?.[0];
  if (spec.clusterIP === undefined && first !== undefined) spec.clusterIP = first;
}

/** Whoever maintains the endpoints of a headless Service himself may have them in both families. */
function chooseForUnselected(spec: ServiceSpec, available: readonly IpFamily[]): void {
  spec.ipFamilyPolicy ??= 'RequireDualStack';
  const first = spec.ipFamilies?.[0] ?? available[0] ?? 'IPv4';
  const other: IpFamily = first === 'IPv4' ? 'IPv6' : 'IPv4';
  const families = spec.ipFamilies ?? [first];
  spec.ipFamilies = spec.ipFamilyPolicy === 'SingleStack' || families.length > 1 ? families : [first, other];
}

function familiesAskedFor(spec: ServiceSpec, available: readonly IpFamily[], errors: FieldErrors): IpFamily[] {
  const named = (spec.ipFamilies ?? []).filter((family): family is IpFamily => family === 'IPv4' || family === 'IPv6');
  const ofAddresses = (spec.clusterIPs ?? []).flatMap((text) => {
    const ip = tryParseIp(text);
    return ip === undefined ? [] : [familyOf(ip)];
  });
  for (const [i, family] of ofAddresses.entries()) {
    if (named[i] !== undefined && named[i] !== family) {
      errors.invalid(
        `spec.clusterIPs[${i}]`,
        spec.clusterIPs?.[i],
        `expected an ${named[i]} value as indicated by \`ipFamilies[${i}]\``,
      );
    }
  }
  const families = ofAddresses.length > named.length ? ofAddresses : named;
  for (const [i, family] of families.entries()) {
    if (!available.includes(family)) errors.invalid(`spec.ipFamilies[${i}]`, family, 'not configured on this cluster');
  }
  const [preferred] = available;
  return families.length === 0 && preferred !== undefined ? [preferred] : families;
}
