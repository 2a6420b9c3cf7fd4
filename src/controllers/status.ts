/** The counts that are not zero: Kubernetes leaves zeros out of a status, and what is compared with it has to, too. */
export function withoutZeros<T extends { readonly [field: string]: number }>(counts: T): Partial<T> {
  return Object.fromEntries(Object.entries(counts).filter(([, count]) => count !== 0)) as Partial<T>;
}
