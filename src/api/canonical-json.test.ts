import { expect, test } from 'vitest';
import { canonicalJson } from './canonical-json.ts';

test('canonicalJson orders fields at every depth, and leaves lists as they are', () => {
  const text = canonicalJson({ b: [{ d: null, c: 1 }, 'x'], a: undefined, B: true });
  expect(text).toBe('{"B":true,"b":[{"c":1,"d":null},"x"]}');
  expect(canonicalJson({ B: true, b: [{ c: 1, d: null }, 'x'] })).toBe(text);
});
