/**
 * Compares two resource versions of one resource: negative when `a` is earlier. They are decimal numbers without
 * leading zeros, of any length, ordered by size (KEP-5504). The empty version comes before all.
 */
export function compareResourceVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}

/** Of each resource that is followed, by its plural name: the version up to which every change is known. */
export type KnownVersions = ReadonlyMap<string, string>;

/** The same as numbers, for gauges. A server may have versions that are none (before KEP-5504): those are left out. */
export function versionNumbers(versions: KnownVersions): ReadonlyMap<string, number> {
  const numbers = [...versions].map(([resource, version]) => [resource, Number(version || Number.NaN)] as const);
  return new Map(numbers.filter(([, number]) => Number.isSafeInteger(number)));
}
