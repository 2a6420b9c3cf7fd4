import type { Element, Value } from './syntax.ts';

/** Whether two elements are equal in all their parts. */
export function sameElement(left: Element, right: Element): boolean {
  return (
    left === right ||
    (left.set === right.set &&
      left.comment === right.comment &&
      sameValues(left.key, right.key) &&
      (left.data === right.data ||
        (left.data !== undefined && right.data !== undefined && sameValues(left.data, right.data))))
  );
}

function sameValues(left: readonly Value[], right: readonly Value[]): boolean {
  return left === right || (left.length === right.length && left.every((value, i) => value === right[i]));
}
