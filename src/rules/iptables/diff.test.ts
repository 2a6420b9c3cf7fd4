import { describe, expect, test } from 'vitest';
import {
  type ChainChange,
  canonicalRule,
  chainLedTo,
  diff,
  joinEdits,
  restores,
  type TableTexts,
  type WantedChain,
} from './diff.ts';
import { printRestore } from './print.ts';

const options = { family: 'IPv4', isOurs: (chain: string) => chain.startsWith('KUBE-') } as const;

function tables(nat: { readonly [chain: string]: readonly string[] }): TableTexts {
  return new Map([['nat', new Map(Object.entries(nat))]]);
}

function differences(current: TableTexts, ...wanted: readonly WantedChain[]): ChainChange[] {
  const steps = diff(current, wanted, options);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

const own = (chain: string, ...rules: readonly string[]): WantedChain => ({ kind: 'own', table: 'nat', chain, rules });
const shared = (tail: number, ...rules: readonly string[]): WantedChain => ({
  kind: 'shared',
  table: 'nat',
  chain: 'KUBE-SERVICES',
  rules,
  tail,
});
const builtIn = (...rules: readonly string[]): WantedChain => ({
  kind: 'built-in',
  table: 'nat',
  chain: 'OUTPUT',
  rules,
});

describe('diff', () => {
  test('finds nothing where all is there, in whatever spelling', () => {
    const current = tables({ 'KUBE-SVC-A': ['-p tcp -m tcp --dport 80 -m comment --comment a -j KUBE-SEP-A'] });
    expect(
      differences(current, own('KUBE-SVC-A', '-p tcp -m comment --comment a -m tcp --dport 80 -j KUBE-SEP-A')),
    ).toEqual([]);
  });

  test('writes a chain that is missing, or whose rules are others or in another order', () => {
    const current = tables({ 'KUBE-A': ['-j RETURN'], 'KUBE-B': ['-j A', '-j B'] });
    expect(differences(current, own('KUBE-A', '-j ACCEPT'), own('KUBE-B', '-j B', '-j A'), own('KUBE-C'))).toEqual([
      { kind: 'write', table: 'nat', chain: 'KUBE-A', rules: ['-j ACCEPT'] },
      { kind: 'write', table: 'nat', chain: 'KUBE-B', rules: ['-j B', '-j A'] },
      { kind: 'write', table: 'nat', chain: 'KUBE-C', rules: [] },
    ]);
  });

  test('removes chains of ours that nobody wants, and no others', () => {
    const current = tables({ 'KUBE-A': [], DOCKER: ['-j RETURN'], OUTPUT: ['-j DOCKER'] });
    expect(differences(current)).toEqual([{ kind: 'remove', table: 'nat', chain: 'KUBE-A' }]);
  });

  test('edits a shared chain rule by rule, and does not mind their order', () => {
    const current = tables({ 'KUBE-SERVICES': ['-j B', '-j A', '-j GONE', '-j LAST'] });
    expect(differences(current, shared(1, '-j A', '-j B', '-j NEW', '-j LAST'))).toEqual([
      { kind: 'edit', table: 'nat', chain: 'KUBE-SERVICES', delete: ['-j GONE'], insert: ['-j NEW'] },
    ]);
    expect(
      differences(tables({ 'KUBE-SERVICES': ['-j B', '-j A', '-j LAST'] }), shared(1, '-j A', '-j B', '-j LAST')),
    ).toEqual([]);
  });

  test('writes a shared chain anew when its end is not as it must be', () => {
    const current = tables({ 'KUBE-SERVICES': ['-j LAST', '-j A'] });
    expect(differences(current, shared(1, '-j A', '-j LAST'))).toEqual([
      { kind: 'write', table: 'nat', chain: 'KUBE-SERVICES', rules: ['-j A', '-j LAST'], entrance: true },
    ]);
  });

  test('sees that a rule is there twice', () => {
    const current = tables({ 'KUBE-SERVICES': ['-j A', '-j A'] });
    expect(differences(current, shared(0, '-j A'))).toEqual([
      { kind: 'edit', table: 'nat', chain: 'KUBE-SERVICES', delete: ['-j A'], insert: [] },
    ]);
  });

  test('touches nothing but its own rules in a chain of others, wherever they stand', () => {
    const jump = '-m comment --comment portals -j KUBE-SERVICES';
    const current = tables({ OUTPUT: ['-j DOCKER', jump, '-p icmp -j ACCEPT'] });
    expect(differences(current, builtIn(jump))).toEqual([]);
    expect(differences(tables({ OUTPUT: ['-j DOCKER', '-j KUBE-OLD'] }), builtIn(jump))).toEqual([
      { kind: 'edit', table: 'nat', chain: 'OUTPUT', delete: ['-j KUBE-OLD'], insert: [jump] },
    ]);
  });
});

describe('canonicalRule', () => {
  test('leaves matches where they are behind one that keeps a record', () => {
    const rule = '-p tcp -m recent --set --name A --mask 255.255.255.255 --rsource -m comment --comment a -j RETURN';
    expect(canonicalRule(rule, 'IPv4')).toBe(rule);
  });
});

describe('chainLedTo', () => {
  test.each([
    ['-j KUBE-A', 'KUBE-A'],
    ['-g KUBE-A', 'KUBE-A'],
    ['-p icmp -j KUBE-A', 'KUBE-A'],
    ['-m limit --limit 5/min -g KUBE-A', 'KUBE-A'],
    ['-m comment --comment "say -j KUBE-A"', undefined],
    ['-j ACCEPT', undefined],
  ])('of %s is %s', (rule, chain) => {
    expect(chainLedTo(rule, 'IPv4')).toBe(chain);
  });
});

describe('joinEdits', () => {
  const edit = (gone: readonly string[], insert: readonly string[]): ChainChange => ({
    kind: 'edit',
    table: 'nat',
    chain: 'KUBE-SERVICES',
    delete: gone,
    insert,
  });

  test('makes one of several, and none of nothing', () => {
    expect(joinEdits([edit(['-j A'], []), edit([], ['-j B']), edit([], [])])).toEqual([edit(['-j A'], ['-j B'])]);
    expect(joinEdits([edit([], [])])).toEqual([]);
  });

  test('has a chain written anew when too much of it goes', () => {
    const gone = Array.from({ length: 151 }, (_, i) => `-j A${i}`);
    expect(joinEdits([edit(gone, [])], () => ['-j B'])).toEqual([
      { kind: 'write', table: 'nat', chain: 'KUBE-SERVICES', rules: ['-j B'], entrance: true },
    ]);
    expect(joinEdits([edit(gone.slice(1), [])], () => ['-j B'])).toEqual([edit(gone.slice(1), [])]);
  });
});

describe('restores', () => {
  const changes: ChainChange[] = [
    { kind: 'write', table: 'nat', chain: 'KUBE-SEP-A', rules: ['-j RETURN'] },
    { kind: 'write', table: 'nat', chain: 'KUBE-SVC-A', rules: ['-j KUBE-SEP-A'] },
    {
      kind: 'edit',
      table: 'nat',
      chain: 'KUBE-SERVICES',
      delete: ['-j KUBE-SVC-B'],
      insert: ['-j KUBE-SVC-A', '-j X'],
    },
    { kind: 'edit', table: 'filter', chain: 'KUBE-SERVICES', delete: ['-j DROP'], insert: [] },
    { kind: 'remove', table: 'nat', chain: 'KUBE-SVC-B' },
    { kind: 'remove', table: 'nat', chain: 'KUBE-SEP-B' },
  ];
  const inputs = (batch: number) => [...restores(changes, batch)].map(printRestore);

  test('is one input with chains declared before they are led to, and deleted last', () => {
    expect(inputs(10)).toEqual([
      [
        '*nat',
        ':KUBE-SEP-A - [0:0]',
        ':KUBE-SVC-A - [0:0]',
        ':KUBE-SVC-B - [0:0]',
        ':KUBE-SEP-B - [0:0]',
        '-A KUBE-SEP-A -j RETURN',
        '-A KUBE-SVC-A -j KUBE-SEP-A',
        '-D KUBE-SERVICES -j KUBE-SVC-B',
        '-I KUBE-SERVICES -j X',
        '-I KUBE-SERVICES -j KUBE-SVC-A',
        '-X KUBE-SVC-B',
        '-X KUBE-SEP-B',
        'COMMIT',
        '*filter',
        '-D KUBE-SERVICES -j DROP',
        'COMMIT',
        '',
      ].join('\n'),
    ]);
  });

  test('leads to whole chains only, when it takes several inputs', () => {
    expect(inputs(1).map((input) => input.split('\n').slice(1, 2).join())).toEqual([
      ':KUBE-SEP-A - [0:0]',
      ':KUBE-SVC-A - [0:0]',
      '-D KUBE-SERVICES -j KUBE-SVC-B',
      ':KUBE-SVC-B - [0:0]',
      ':KUBE-SEP-B - [0:0]',
      ':KUBE-SVC-B - [0:0]',
      ':KUBE-SEP-B - [0:0]',
    ]);
  });

  test('is nothing for nothing', () => {
    expect([...restores([], 10)]).toEqual([]);
  });
});
