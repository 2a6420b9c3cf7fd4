import { describe, expect, it } from 'vitest';
import { type CallOutcome, judge, readWord } from './judge.ts';
import { addresses, nodeAddresses } from './places.ts';

const { podC, bridge, client } = addresses.IPv4;
const own = new Set(nodeAddresses('IPv4'));
const open = { isRemembered: false, many: false };

/** Outcomes of one source after the other, each with a word or more. */
function outcomes(...bySource: readonly string[]): CallOutcome[] {
  return bySource.flatMap((words, source) => words.split(' ').map((word) => ({ source, word })));
}

describe('readWord', () => {
  it('tells who answered, and as whom the client was seen', () => {
    expect(readWord(`podA ${podC}`, { source: podC, own })).toBe('podA');
    expect(readWord(`podA ${bridge}`, { source: podC, own })).toBe('podA*');
    expect(readWord(`podA ::ffff:${client}`, { source: client, own })).toBe('podA');
    expect(readWord(`podA ${client}`, { source: podC, own })).toBe(`podA as ${client}`);
    expect(readWord(`beyond ${podC}`, { source: podC, own })).toBe('untouched');
  });

  it('tells why nobody answered', () => {
    const words = ['ECONNREFUSED', 'TIMEOUT', 'EHOSTUNREACH'].map((text) => readWord(text, { source: podC, own }));
    expect(words).toEqual(['refused', 'silence', 'EHOSTUNREACH']);
  });
});

describe('judge', () => {
  const half = Array.from({ length: 25 }, () => 'podA podB');

  it('is content with what is expected', () => {
    expect(judge(outcomes(...half), { expected: 'podA podB', ...open })).toEqual([]);
    expect(judge(outcomes('refused refused'), { expected: 'refused', ...open })).toEqual([]);
  });

  it('finds answers that are not expected, and those that are missing', () => {
    expect(judge(outcomes(...half, 'podA*'), { expected: 'podA podB', ...open })).toEqual([
      'podA* instead of podA podB',
    ]);
    expect(judge(outcomes('silence'), { expected: 'refused', ...open })).toEqual(['silence instead of refused']);
    expect(judge(outcomes(...half), { expected: 'podA podB podD', ...open })).toContain(
      'podD answers 0 of 50, which is not one of 3 equal shares',
    );
  });

  it('finds shares that are not equal', () => {
    const uneven = Array.from({ length: 300 }, () => 'podA podA podB');
    expect(judge(outcomes(...uneven), { expected: 'podA podB', ...open })).toHaveLength(2);
  });

  it('finds a client that is not remembered, and looks at shares client by client', () => {
    const remembered = { expected: 'podA podB', isRemembered: true, many: false };
    const clients = Array.from({ length: 40 }, (_, i) => (i % 2 === 0 ? 'podA podA' : 'podB podB'));
    expect(judge(outcomes(...clients), remembered)).toEqual([]);
    expect(judge(outcomes(...clients, 'podA podB'), remembered)).toEqual(['a client went to several endpoints']);
    expect(judge(outcomes('podB podB podB'), remembered)).toEqual([]);
    const oneSided = Array.from({ length: 40 }, () => 'podA podA');
    expect(judge(outcomes(...oneSided), remembered)).toHaveLength(2);
  });
});
