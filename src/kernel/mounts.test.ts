import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseMountinfo } from './mounts.ts';

/** As the kernel escapes paths: mangle_path() for blank, tab, newline and backslash. */
function mangle(path: string): string {
  return path.replace(/[ \t\n\\]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}

describe('parseMountinfo', () => {
  test('reads lines with and without optional fields', () => {
    const content = [
      '36 35 98:0 /mnt1 /mnt/two rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue',
      '37 36 0:4 net:[4026532281] /run/ns/a rw - nsfs nsfs rw',
      '',
    ].join('\n');
    expect(parseMountinfo(content)).toEqual([
      {
        id: 36,
        parentId: 35,
        root: '/mnt1',
        target: '/mnt/two',
        options: ['rw', 'noatime'],
        type: 'ext3',
        source: '/dev/root',
      },
      {
        id: 37,
        parentId: 36,
        root: 'net:[4026532281]',
        target: '/run/ns/a',
        options: ['rw'],
        type: 'nsfs',
        source: 'nsfs',
      },
    ]);
  });

  test('gives back any path', () => {
    const paths = fc.string({ unit: fc.constantFrom('a', ' ', '\t', '\n', '\\', '-', '/', 'é', '0') });
    fc.assert(
      fc.property(paths, paths, (root, target) => {
        const line = `1 2 0:3 /${mangle(root)} /${mangle(target)} rw shared:1 - tmpfs none rw`;
        const [entry] = parseMountinfo(line);
        expect([entry?.root, entry?.target]).toEqual([`/${root}`, `/${target}`]);
      }),
    );
  });

  test('leaves out what is no mount line', () => {
    expect(parseMountinfo(' - \n- -\n')).toEqual([]);
    expect(parseMountinfo('36 35 98:0 /a')).toEqual([]);
  });
});
