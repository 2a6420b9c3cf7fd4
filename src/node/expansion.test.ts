import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { expandReferences } from './expansion.ts';

describe('expandReferences', () => {
  it.each([
    ['$(A)', '1'],
    ['x$(A)y$(B)z', 'x1y2z'],
    ['$(MISSING)', '$(MISSING)'],
    ['$$(A)', '$(A)'],
    ['$$$(A)', '$1'],
    ['$$$$(A)', '$$(A)'],
    ['$(A', '$(A'],
    ['$()', '$()'],
    ['$(toString)', '$(toString)'],
  ])('expandReferences(%j) is %j', (text, expanded) => {
    expect(expandReferences(text, { A: '1', B: '2' })).toBe(expanded);
  });

  it('expandReferences leaves text without dollars alone, and does not expand what it put in', () => {
    fc.assert(
      fc.property(
        fc.string().filter((s) => !s.includes('$')),
        (s) => expandReferences(s, { A: 'x' }) === s,
      ),
    );
    expect(expandReferences('$(A)', { A: '$(B)', B: 'no' })).toBe('$(B)');
  });
});
