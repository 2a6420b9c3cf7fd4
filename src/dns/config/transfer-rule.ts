import { isWithin, type Name } from '../wire/name.ts';
import type { TransferRule } from './types.ts';

/** The rule for a zone: the one that names the nearest to it, and of several such the first. */
export function transferRuleOf(rules: readonly TransferRule[], zone: Name): TransferRule | undefined {
  let found: TransferRule | undefined;
  let length = 0;
  for (const rule of rules) {
    for (const named of rule.zones) {
      if (named.length <= length || !isWithin(zone, named)) continue;
      found = rule;
      length = named.length;
    }
  }
  return found;
}
