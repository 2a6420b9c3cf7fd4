import { describe, expect, test } from 'vitest';
import { FieldErrors } from '../field-error.ts';
import type { PodSpec, Taint, Toleration } from '../generated/types.ts';
import { validatePlacement, validateTaints } from './placement.ts';

function problems(check: (errors: FieldErrors) => void): string[] {
  const errors = new FieldErrors();
  check(errors);
  return errors.list.map(({ field, message }) => `${field}: ${message}`);
}
const placement = (spec: Partial<PodSpec>) =>
  problems((errors) => validatePlacement({ containers: [], ...spec }, 'spec', errors));

describe('validatePlacement', () => {
  test.each<Toleration>([
    { operator: 'Exists' },
    { key: 'a' },
    { key: 'a.b/c', operator: 'Equal', value: 'd', effect: 'NoSchedule' },
    { key: 'a', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 5 },
  ])('takes the toleration %j', (toleration) => {
    expect(placement({ tolerations: [toleration] })).toEqual([]);
  });

  test.each<[Toleration, string]>([
    [{ key: 'a b' }, 'key: Invalid value: "a b": name part must consist of'],
    [{}, 'operator: Invalid value: "": operator must be Exists when `key` is empty'],
    [{ key: 'a', operator: 'Like' }, 'operator: Unsupported value: "Like": supported values: "Equal", "Exists"'],
    [{ key: 'a', value: 'b c' }, 'operator: Invalid value: "b c": a valid label must be'],
    [{ operator: 'Exists', value: 'x' }, 'operator: Invalid value: {"operator":"Exists","value":"x"}: value must be'],
    [{ key: 'a', effect: 'No' }, 'effect: Unsupported value: "No"'],
    [{ key: 'a', tolerationSeconds: 5 }, 'effect: Invalid value: "": effect must be \'NoExecute\''],
  ])('refuses the toleration %j', (toleration, problem) => {
    expect(placement({ tolerations: [toleration] })).toEqual([
      expect.stringContaining(`spec.tolerations[0].${problem}`),
    ]);
  });

  test('refuses node labels that no node can have', () => {
    expect(placement({ nodeSelector: { a: 'b' } })).toEqual([]);
    expect(placement({ nodeSelector: { 'a b': 'c' } })).toEqual([
      expect.stringContaining('spec.nodeSelector: Invalid value: "a b"'),
    ]);
  });
});

describe('validateTaints', () => {
  test('has one of a key and an effect', () => {
    const taint: Taint = { key: 'a', value: 'b', effect: 'NoSchedule' };
    const of = (...taints: Taint[]) => problems((errors) => validateTaints(taints, 'spec.taints', errors));
    expect(of(taint, { ...taint, effect: 'NoExecute' })).toEqual([]);
    expect(of(taint, { ...taint, value: 'c' })).toEqual([expect.stringContaining('spec.taints[1]: Duplicate value')]);
    expect(of({ ...taint, value: 'b c' })).toEqual([expect.stringContaining('spec.taints[0].value: Invalid value')]);
  });
});
