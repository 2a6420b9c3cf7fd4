import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatLabelSelector, matchLabelSelector, parseLabelSelector, SelectorError } from './label-selector.ts';

const labels = { app: 'hello', tier: 'front', level: '5', empty: '' };

test.each([
  ['', true],
  ['app=hello', true],
  ['app==hello,tier=front', true],
  ['app=other', false],
  ['app!=hello', false],
  ['missing!=x', true],
  ['app', true],
  ['missing', false],
  ['!missing', true],
  ['!app', false],
  ['app in (x, hello)', true],
  ['app in (x)', false],
  ['app notin (x)', true],
  ['missing notin (x)', true],
  ['level>4', true],
  ['level>5', false],
  ['level<6,app in (hello),!x', true],
  ['empty=', true],
  ['empty in ()', true],
  ['toString', false],
])('parseLabelSelector: %s', (text, expected) => {
  expect(parseLabelSelector(text)(labels)).toBe(expected);
});

test.each(['app in (', 'app in x', 'app=a=b', ',', 'app,', 'a b', '=x', 'app>x', 'app=@', '-a', 'app in (a b)'])(
  'parseLabelSelector refuses %s',
  (text) => {
    expect(() => parseLabelSelector(text)).toThrow(SelectorError);
  },
);

test('parseLabelSelector reads any text or says that it cannot', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab1=!<>(),- in') }), (text) => {
      try {
        expect(typeof parseLabelSelector(text)(labels)).toBe('boolean');
      } catch (error) {
        expect(error).toBeInstanceOf(SelectorError);
      }
    }),
  );
});

describe('formatLabelSelector', () => {
  const key = fc.constantFrom('a', 'b', 'x/c');
  const value = fc.constantFrom('1', '2', '3');
  const expression = fc.oneof(
    fc.record({ key, operator: fc.constantFrom('In', 'NotIn'), values: fc.array(value, { minLength: 1 }) }),
    fc.record({ key, operator: fc.constantFrom('Exists', 'DoesNotExist') }),
  );
  test('writes what parseLabelSelector reads back to the same choice', () => {
    const selector = fc.record({ matchLabels: fc.dictionary(key, value), matchExpressions: fc.array(expression) });
    fc.assert(
      fc.property(selector, fc.dictionary(key, value), (made, some) => {
        const again = parseLabelSelector(formatLabelSelector(made));
        expect(again(some)).toBe(matchLabelSelector(made)(some));
      }),
    );
  });
});

test('matchLabelSelector: an absent selector matches nothing, an empty one everything', () => {
  expect(matchLabelSelector(undefined)(labels)).toBe(false);
  expect(matchLabelSelector({})(undefined)).toBe(true);
});
