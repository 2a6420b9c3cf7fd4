import { expect, test } from 'vitest';
import { tryParsePort } from './port.ts';

test.each([
  ['1', 1],
  ['65535', 65_535],
  ['0080', 80],
])('tryParsePort reads %j', (text, port) => {
  expect(tryParsePort(text)).toBe(port);
});

test.each(['', '0', '65536', '99999', '100000', '-1', '+1', '8.0', '1e3', ' 80', '0x50', 'http'])(
  'tryParsePort reads nothing in %j',
  (text) => {
    expect(tryParsePort(text)).toBeUndefined();
  },
);
