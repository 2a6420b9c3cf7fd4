import { formatCidr, parseCidr } from '../../net/cidr.ts';
import { tryParseIp } from '../../net/ip.ts';
import type { Service } from '../generated/types.ts';
import { topologyHintsAnnotation as topologyHints, topologyModeAnnotation as topologyMode } from '../well-known.ts';
import { cidrText } from './address-text.ts';

/** What whoever writes a Service is told that is no mistake, but not what they may think: in Kubernetes' words. */
export function serviceWarnings({ metadata, spec = {} }: Service): string[] {
  const { type, externalIPs = [], loadBalancerIP, loadBalancerSourceRanges = [], clusterIPs = [] } = spec;
  const warnings: string[] = [];
  const warnIf = (condition: unknown, text: string) => {
    if (condition) warnings.push(text);
  };
  warnIf(
    metadata?.annotations?.[topologyHints] !== undefined,
    `annotation ${topologyHints} is deprecated, please use ${topologyMode} instead`,
  );
  if (clusterIPs[0] !== 'None') warnings.push(...spelling('spec.clusterIPs', clusterIPs));
  else if (type === 'ClusterIP') {
    warnIf(loadBalancerIP, 'spec.loadBalancerIP is ignored for headless services');
    warnIf(externalIPs.length > 0, 'spec.externalIPs is ignored for headless services');
    warnIf(spec.sessionAffinity === 'ClientIP', 'spec.SessionAffinity is ignored for headless services');
  }
  // KEP-5707
  warnIf(externalIPs.length > 0, 'spec.externalIPs is deprecated');
  warnings.push(...spelling('spec.externalIPs', externalIPs));
  if (loadBalancerIP) warnings.push(...spellingOf('spec.loadBalancerIP', loadBalancerIP));
  for (const [i, block] of loadBalancerSourceRanges.entries())
    warnings.push(...blockSpellingOf(`spec.loadBalancerSourceRanges[${i}]`, block.trim()));
  warnIf(
    type === 'ExternalName' && externalIPs.length > 0,
    'spec.externalIPs is ignored when spec.type is "ExternalName"',
  );
  warnIf(
    type !== 'ExternalName' && spec.externalName,
    'spec.externalName is ignored when spec.type is not "ExternalName"',
  );
  warnIf(
    spec.trafficDistribution === 'PreferClose',
    'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"',
  );
  return warnings;
}

function spelling(field: string, texts: readonly string[]): string[] {
  return texts.flatMap((text, i) => spellingOf(`${field}[${i}]`, text));
}

/** One address has many spellings in IPv6, and texts are what programs compare. */
function spellingOf(field: string, text: string): string[] {
  const canonical = tryParseIp(text);
  if (canonical === undefined || canonical === text) return [];
  return [`${field}: IPv6 address "${text}" should be in RFC 5952 canonical format ("${canonical}")`];
}

function blockSpellingOf(field: string, text: string): string[] {
  if (cidrText(text).length > 0) return [];
  const canonical = formatCidr(parseCidr(text));
  if (canonical === text) return [];
  return [`${field}: IPv6 CIDR value "${text}" should be in RFC 5952 canonical format ("${canonical}")`];
}
