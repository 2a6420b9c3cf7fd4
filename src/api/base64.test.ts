import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { Base64Error, canonicalBase64 } from './base64.ts';

describe('canonicalBase64', () => {
  test.each([
    ['', ''],
    ['eA==', 'eA=='],
    ['eA==\n', 'eA=='],
    ['e\r\nA\n=\n=', 'eA=='],
    ['eB==', 'eA=='],
    ['+/+/', '+/+/'],
  ])('%j is %j', (text, canonical) => {
    expect(canonicalBase64(text)).toBe(canonical);
  });

  test.each([
    ['!!!', 0],
    ['eA', 0],
    ['eAA', 0],
    ['eA=', 3],
    ['eA=x', 2],
    ['e===', 1],
    ['eA==x', 4],
    ['eHh4-_', 4],
    ['plain text', 5],
    ['eHh4eA', 4],
    ['\u{1f600}', 0],
  ])('%j is refused at %i', (text, at) => {
    expect(() => canonicalBase64(text)).toThrow(new Base64Error(at));
  });

  test('takes what it made', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        const text = Buffer.from(bytes).toString('base64');
        expect(canonicalBase64(text)).toBe(text);
        expect(canonicalBase64(text.replaceAll(/(.{5})/g, '$1\n'))).toBe(text);
      }),
    );
  });
});
