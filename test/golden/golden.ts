import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect } from 'vitest';

/**
 * Compares a text with the file of that name beside this one. `UPDATE_GOLDEN=1` writes the file instead: read the
 * difference before you commit it.
 */
export function expectGolden(name: string, text: string): void {
  const path = join(import.meta.dirname, name);
  if (process.env.UPDATE_GOLDEN === '1') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
  }
  expect(text).toBe(readFileSync(path, 'utf8'));
}
