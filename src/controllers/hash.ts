import { canonicalJson } from '../api/canonical-json.ts';

const alphabet = 'bcdfghjklmnpqrstvwxz2456789';

/** A short text for a value: FNV-1a over its canonical JSON and a salt, in letters and digits that form no words. */
export function hashOf(value: unknown, salt: number | undefined): string {
  const text = `${canonicalJson(value)}${salt ?? ''}`;
  let hash = 0x811c9dc5;
  for (const byte of Buffer.from(text)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return [...String(hash)].map((digit) => alphabet[digit.charCodeAt(0) % alphabet.length]).join('');
}
