import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { identify, isAlive, parseProcessStat, raiseOpenFiles } from './process.ts';

describe('parseProcessStat', () => {
  test('reads any command, parentheses, blanks and newlines included', () => {
    const commands = fc.string({ unit: fc.constantFrom('a', ' ', '(', ')', ') S 1', '\n', '1'), maxLength: 15 });
    fc.assert(
      fc.property(commands, fc.nat(4_194_304), fc.nat(), (command, parent, startTime) => {
        const middle = Array.from({ length: 17 }, (_, i) => i).join(' ');
        const content = `42 (${command}) S ${parent} ${middle} ${startTime} 1000 200\n`;
        expect(parseProcessStat(content)).toEqual({ pid: 42, command, state: 'S', parent, startTime });
      }),
    );
  });

  test('is undefined for what is not such a text', () => {
    expect(parseProcessStat('')).toBeUndefined();
    expect(parseProcessStat('42 (cut')).toBeUndefined();
    expect(parseProcessStat('42 (cut) S 1 2')).toBeUndefined();
  });
});

describe('isAlive', () => {
  test('knows this process', () => {
    const self = identify(process.pid);
    expect(self !== undefined && isAlive(self)).toBe(true);
  });

  test('is false for another process with the same number', () => {
    const self = identify(process.pid);
    expect(isAlive({ pid: process.pid, startTime: (self?.startTime ?? 0) + 1 })).toBe(false);
  });
});

describe('raiseOpenFiles', () => {
  test('leaves a limit that is high enough', () => {
    const before = raiseOpenFiles(1);
    expect(before).toBeGreaterThan(1);
    expect(raiseOpenFiles(before)).toBe(before);
  });
});
