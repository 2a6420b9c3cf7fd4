import { expect, test } from 'vitest';
import { parseFieldSelector } from './field-selector.ts';

test('parseFieldSelector reads conditions and escapes', () => {
  expect(parseFieldSelector('a.b=c,d!=e,f==')).toEqual([
    { field: 'a.b', equal: true, value: 'c' },
    { field: 'd', equal: false, value: 'e' },
    { field: 'f', equal: true, value: '' },
  ]);
  expect(parseFieldSelector('a=x\\,y\\=z\\\\')).toEqual([{ field: 'a', equal: true, value: 'x,y=z\\' }]);
  expect(parseFieldSelector('')).toEqual([]);
});

test.each(['a', '=b', 'a=b=c', 'a=\\x'])('parseFieldSelector refuses %s', (text) => {
  expect(() => parseFieldSelector(text)).toThrow(/can't understand/);
});
