import { type ConfigReader, type ConfigValue, readList, readParsed, readText } from '../../component/config-fields.ts';
import { isWithin, type Name, parseName, rootName } from '../wire/name.ts';
import { reverseZones } from './defaults.ts';
import { tryReverseZones } from './reverse.ts';

/** A zone by its name; a block of addresses is the zones that hold their names. */
export const readZone: ConfigReader<readonly Name[]> = (at) => {
  const zones =
    readParsed(tryReverseZones)(at) ?? [parseName(readText(at))].filter((zone): zone is Name => zone !== undefined);
  if (zones.length > 0) return zones;
  throw at.valueError('is not a zone', 'write it as example.org, or as 10.0.0.0/24');
};

/** A list of zones. */
export const readZones: ConfigReader<readonly Name[]> = (at) => readList(readZone)(at).flat();

/** A list of zones of which one at least may be a cluster's domain. */
export const readClusterZones: ConfigReader<readonly Name[]> = (at) => {
  const zones = readZones(at);
  if (zones.some(isClusterDomain)) return zones;
  throw at.error('names no cluster domain', 'name one, as cluster.local');
};

/** Whether a zone can hold the names of Services: not the root, and none of addresses' names. */
export function isClusterDomain(zone: Name): boolean {
  return zone !== rootName && !reverseZones.some((reverse) => isWithin(zone, reverse));
}

/** A cluster's domain. */
export function readDomain(at: ConfigValue): Name {
  const domain = parseName(readText(at));
  // Names below are made from namespaces and Services of up to 63 octets each, with two labels before them.
  if (domain !== undefined && domain.length > 1 && domain.length <= 100) return domain;
  throw at.valueError('is not a domain', 'write it as cluster.local');
}

/** `namespace/name` of a Service. */
export function readServiceKey(at: ConfigValue): string {
  const text = readText(at);
  if (/^[^/]+\/[^/]+$/.test(text)) return text;
  throw at.valueError('is not a Service', 'write it as kube-system/kube-dns');
}
