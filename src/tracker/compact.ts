const none: readonly never[] = [];

/**
 * The same list without room to grow. Facts are kept by the ten thousand, and V8 gives a list that was built item by
 * item room for 17 at least: most of what a small Service would take.
 */
export function compact<T>(items: readonly T[]): readonly T[] {
  return items.length === 0 ? none : items.slice();
}
