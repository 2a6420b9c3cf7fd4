import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { programs } from '../../../test/golden/nftables-programs.ts';
import { parseProgram } from './parse.ts';
import { printProgram } from './print.ts';

describe('parseProgram', () => {
  test('reads back whatever is printed', { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(programs, (program) => {
        const text = printProgram(program);
        const read = parseProgram(text);
        expect(printProgram(read)).toBe(text);
        const bySet = (set: string) => program.elements.filter((element) => element.set === set);
        expect(read).toEqual({ ...program, elements: program.sets.flatMap((set) => bySet(set.name)) });
      }),
    );
  });

  test.each([
    ['table ip x {\n\tset a {\n\t\ttypeof ip ttl\n\t}\n}\n', 'line 3', 'has “ip”', 'a selector or statement'],
    ['table inet x {\n}\n', 'line 1', 'has “inet”', 'a family'],
    ['table ip x {\n\tchain a {\n\t\taccept\n\t}\n}\n', 'line 3', 'has “accept”', 'a selector or statement'],
    ['table ip x {\n\tchain a {\n\t\tip daddr drop\n\t}\n}\n', 'line 3', 'has “drop”', 'a set'],
    ['table ip x {\n\tchain a {\n\t\tgoto\n\t}\n}\n', 'line 3', 'has “end of line”', 'a chain'],
    ['table ip x {\n', 'line 1', 'ends too early', 'a set, map or chain'],
    ['table ip x {\n}\ntable ip y {\n}\n', 'line 3', 'has “table”', 'the end'],
  ])('names the line and what could stand there: %j', (text, line, problem, remedy) => {
    const parse = () => parseProgram(text);
    expect(parse).toThrow(expect.objectContaining({ code: 'INVALID_NFTABLES_TEXT' }));
    for (const part of [line, problem, remedy]) expect(parse).toThrow(part);
  });
});
