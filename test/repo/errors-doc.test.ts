import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { errorRegistry } from '../../src/errors/registry.ts';

const root = join(import.meta.dirname, '../..');
const doc = readFileSync(join(root, 'docs/errors.md'), 'utf8');
const rows = [...doc.matchAll(/^\| <a id="([^"]+)"><\/a>`([A-Z0-9_]+)` \| (\w+) \| (.+) \|$/gm)];
const sources = (readdirSync(join(root, 'src'), { recursive: true }) as string[])
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts') && !path.endsWith('errors/registry.ts'))
  .map((path) => readFileSync(join(root, 'src', path), 'utf8'))
  .join('\n');

describe('docs/errors.md', () => {
  test('has every code of the registry with its kind and summary, in the same order', () => {
    expect(rows.map(([, anchor, code, kind, summary]) => ({ anchor, code, kind, summary }))).toEqual(
      Object.entries(errorRegistry).map(([code, { kind, summary }]) => ({
        anchor: code.toLowerCase(),
        code,
        kind,
        summary,
      })),
    );
  });

  test.each(Object.keys(errorRegistry))('%s is raised somewhere', (code) => {
    expect(sources).toContain(`'${code}'`);
  });
});
