import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '../../../errors/error.ts';
import { formatName } from '../../wire/name.ts';
import { tryReverseZones } from '../reverse.ts';
import { parseCorefileConfig } from './config.ts';
import { type Directive, parseCorefile } from './parse.ts';
import { tokenize } from './tokens.ts';

const nothing = {
  readFile: (path: string): string => {
    throw Object.assign(new Error(path), { code: 'ENOENT' });
  },
  listFolder: () => [],
  environment: { HOME: '/root', EMPTY: '' },
};

/** A directive as nested lists of words. */
function plain({ name, args, block }: Directive): unknown[] {
  return [name.text, ...args.map(({ text }) => text), ...(block === undefined ? [] : [block.map(plain)])];
}

const parse = (text: string, readFile = nothing.readFile) =>
  parseCorefile(text, '/etc/coredns/Corefile', { ...nothing, readFile }).map(({ keys, directives }) => [
    keys.map(({ text: key }) => key),
    directives.map(plain),
  ]);

describe('tokenize', () => {
  test.each([
    ['a b', ['a', 'b']],
    ['a#b c\nd', ['a', 'd']],
    ['"a b" "" "c\\"d" "e\\f"', ['a b', '', 'c"d', 'e\\f']],
    ['"two\nlines" x', ['two\nlines', 'x']],
    ['\uFEFFa\r\nb\r\n', ['a', 'b']],
    ['a"b c"', ['a"b', 'c"']],
  ])('splits %j into %j', (text, words) => {
    expect(tokenize(text, 'f').map((token) => token.text)).toEqual(words);
  });

  test('knows lines, also after words of several', () => {
    const tokens = tokenize('a "b\n\nc" d\ne', 'f').map(({ line, startsLine }) => [line, startsLine]);
    expect(tokens).toEqual([
      [1, true],
      [1, false],
      [3, false],
      [4, true],
    ]);
  });
});

describe('parseCorefile', () => {
  test.each([
    ['a b:53, c\n{\n}', [[['a', 'b:53', 'c'], []]]],
    ['a,\nb {\n  x\n}', [[['a', 'b'], [['x']]]]],
    [
      '. {\n  x 1 {\n    y 2\n    z { w }\n  }\n  v\n}',
      [
        [
          ['.'],
          [
            [
              'x',
              '1',
              [
                ['y', '2'],
                ['z', [['w']]],
              ],
            ],
            ['v'],
          ],
        ],
      ],
    ],
    ['. {\n  x "}" "{" "import"\n}', [[['.'], [['x', '}', '{', 'import']]]]],
    ['.\nx\ny', [[['.'], [['x'], ['y']]]]],
    ['{$EMPTY}. {\n  x {$HOME}/f {%HOME%} {$NONE}-\n}', [[['.'], [['x', '/root/f', '/root', '-']]]]],
    ['(s) {\n  y { z }\n}\n. {\n  import s\n  x\n}', [[['.'], [['y', [['z']]], ['x']]]]],
    ['(s) { y }\n. {\n  x {\n    import s\n  }\n}', [[['.'], [['x', [['y']]]]]]],
  ])('reads %j', (text, blocks) => {
    expect(parse(text)).toEqual(blocks);
  });

  test('imports files from beside the Corefile, and says which line of which file is wrong', () => {
    const files: { [path: string]: string } = { '/etc/coredns/more': 'x 1\ny', '/bad': 'z {\n' };
    const readFile = (path: string) => files[path] ?? nothing.readFile(path);
    expect(parse('. {\n  import more\n  v\n}', readFile)).toEqual([[['.'], [['x', '1'], ['y'], ['v']]]]);
    expect(() => parse('. {\n  import /bad\n  v\n', readFile)).toThrow(/^\/bad:1 a \{ is not closed/);
  });

  test('ends with blocks or a located error, whatever it is given', () => {
    const words = [
      '{',
      '}',
      '.:53',
      'import',
      '(s)',
      's',
      '"',
      '"q"',
      '#',
      '\n',
      ',',
      '{$HOME}',
      'kubernetes',
      'forward',
    ];
    const text = fc
      .array(fc.oneof(fc.constantFrom(...words), fc.string({ maxLength: 4 })), { maxLength: 30 })
      .map((parts) => parts.join(' '));
    fc.assert(
      fc.property(text, (corefile) => {
        try {
          parseCorefileConfig(corefile, 'f', nothing);
        } catch (error) {
          expect(error).toBeInstanceOf(SignalboxError);
          expect(String(error)).toMatch(/f:\d+ |served by two/);
        }
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('tryReverseZones', () => {
  test.each([
    ['10.0.0.0/24', ['0.0.10.in-addr.arpa.']],
    ['10.1.2.3/8', ['10.in-addr.arpa.']],
    ['0.0.0.0/0', ['in-addr.arpa.']],
    ['192.0.2.4/31', ['4.2.0.192.in-addr.arpa.', '5.2.0.192.in-addr.arpa.']],
    ['2001:db8::/32', ['8.b.d.0.1.0.0.2.ip6.arpa.']],
    ['fd00::/7', ['c.f.ip6.arpa.', 'd.f.ip6.arpa.']],
  ])('%s is %j', (text, zones) => {
    expect(tryReverseZones(text)?.map(formatName)).toEqual(zones);
  });

  test('leaves names alone', () => {
    expect(tryReverseZones('example.org')).toBeUndefined();
  });
});
