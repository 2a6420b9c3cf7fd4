/**
 * Compares two resource versions of one resource: negative when `a` is earlier. They are decimal numbers without
 * leading zeros, of any length, ordered by size (KEP-5504). The empty version comes before all.
 */
export function compareResourceVersions(a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length;
  return a === b ? 0 : a < b ? -1 : 1;
}
