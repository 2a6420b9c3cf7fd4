import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { limits } from './limits.ts';
import { scenarioTables } from './scenarios/all.ts';

const page = new URL('../../docs/proxy-modes.md', import.meta.url);
const begin = /<!-- limits: .* -->\n/;
const end = '<!-- end of limits -->';

/** The list as a table, the modes that have a limit in common in one line. */
function limitsTable(): string {
  const modes = new Map<string, string[]>();
  for (const { mode, what, reason } of limits) {
    const cells = `${what} | ${reason}`;
    modes.set(cells, [...(modes.get(cells) ?? []), `\`${mode}\``]);
  }
  const lines = [...modes].map(([cells, names]) => `| ${names.join(', ')} | ${cells} |\n`);
  return ['\n| Mode | What is other than elsewhere | Why |\n|---|---|---|\n', ...lines, '\n'].join('');
}

test('limits are what docs/proxy-modes.md says', () => {
  const text = readFileSync(page, 'utf8');
  const [before = '', after = ''] = text.split(begin);
  const comment = begin.exec(text)?.[0] ?? '';
  const rest = after.slice(after.indexOf(end));
  const expected = `${before}${comment}${limitsTable()}${rest}`;
  if (process.env.UPDATE_GOLDEN === '1') writeFileSync(page, expected);
  else expect(text).toBe(expected);
});

test('scenario tables are those that docs/proxy-modes.md names', () => {
  const text = readFileSync(page, 'utf8');
  const section = text.slice(text.indexOf('| About |'), text.indexOf('Beside them'));
  const about = [...section.matchAll(/^\| ([^|]+) \| \[/gm)].map(([, name]) => name);
  expect(about).toEqual(Object.keys(scenarioTables));
});
