import fc from 'fast-check';
import { type IpFamily, ipFromBigInt } from '../../src/net/ip.ts';
import type {
  Chain,
  Element,
  Hook,
  Key,
  Program,
  Rule,
  SetDeclaration,
  Statement,
  TypeSelector,
  Value,
} from '../../src/rules/nftables/syntax.ts';

const service: readonly TypeSelector[] = ['meta l4proto', 'ip daddr', 'th dport'];

/** What statements with memory need. */
const memorySets: readonly SetDeclaration[] = [
  { name: 'services', key: service, data: service },
  { name: 'memory', key: [...service, 'ip saddr'], data: service, dynamic: { size: 1000 } },
  { name: 'known', key: [...service, 'ip daddr', 'th dport'] },
];
const recall = { family: 'ip', services: 'services', memory: 'memory' } as const;

/** Programs that a kernel takes: all that they refer to is there, nothing loops, every statement may stand where it is. */
export const programs: fc.Arbitrary<Program> = fc
  .record({
    sets: fc.integer({ min: 0, max: 4 }),
    memory: fc.constantFrom([], memorySets),
    chains: fc.integer({ min: 0, max: 4 }),
    comment: optional(text()),
  })
  .chain(({ sets, memory, chains, comment }) =>
    fc
      .tuple(
        ...memory.map((set) => fc.constant(set)),
        ...Array.from({ length: sets }, (_, i) => setDeclaration(`set-${i}`)),
      )
      .chain((declared) =>
        fc.record({
          sets: fc.constant(declared),
          chains: fc.tuple(...Array.from({ length: chains }, (_, i) => chain(i, chains, declared))),
          elements: fc.tuple(...declared.map(elementsOf)).map((lists) => lists.flat()),
        }),
      )
      .map((parts) => ({ family: 'ip', table: 'example', ...(comment !== undefined && { comment }), ...parts })),
  );

function optional<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

function text(): fc.Arbitrary<string> {
  return fc.stringMatching(/^[a-z0-9/: -]{1,20}$/);
}

const typeSelectors = fc.constantFrom<TypeSelector>(
  'ip saddr',
  'ip daddr',
  'meta l4proto',
  'th dport',
  'numgen random mod 16384',
);

function keys(maxLength: number): fc.Arbitrary<readonly TypeSelector[]> {
  return fc.array(typeSelectors, { minLength: 1, maxLength });
}

function setDeclaration(name: string): fc.Arbitrary<SetDeclaration> {
  return fc.oneof(
    keys(4).map((key) => ({ name, key })),
    fc.record({ name: fc.constant(name), key: keys(4), data: keys(2) }),
    fc.constant<SetDeclaration>({ name, key: ['ip saddr'], interval: true }),
  );
}

function address(): fc.Arbitrary<Value> {
  const family: IpFamily = 'IPv4';
  return fc.bigInt(0n, 0xffffffffn).map((value) => ipFromBigInt(value, family));
}

function value(selector: TypeSelector): fc.Arbitrary<Value> {
  if (selector === 'meta l4proto') return fc.constantFrom('tcp', 'udp', 'sctp');
  if (selector === 'ip saddr' || selector === 'ip daddr') return address();
  return fc.integer({ min: 0, max: 65535 });
}

function values(key: readonly TypeSelector[]): fc.Arbitrary<Value[]> {
  return fc.tuple(...key.map(value));
}

/** Blocks that cannot overlap: each in a /8 of its own. */
function blocks(set: string): fc.Arbitrary<Element[]> {
  return fc
    .uniqueArray(fc.integer({ min: 1, max: 223 }), { maxLength: 4 })
    .chain((octets) =>
      fc.tuple(
        ...octets.map((octet) =>
          fc.integer({ min: 8, max: 32 }).map((prefix): Element => ({ set, key: [`${octet}.0.0.0/${prefix}`] })),
        ),
      ),
    );
}

function elementsOf({ name, key, data, interval, dynamic }: SetDeclaration): fc.Arbitrary<Element[]> {
  if (interval === true) return blocks(name);
  if (dynamic !== undefined) return fc.constant([]);
  return fc.uniqueArray(
    fc
      .record({
        key: values(key),
        data: data === undefined ? fc.constant(undefined) : values(data),
        comment: optional(text()),
      })
      .map(
        (parts): Element => ({
          set: name,
          key: parts.key,
          ...(parts.data && { data: parts.data }),
          ...(parts.comment !== undefined && { comment: parts.comment }),
        }),
      ),
    { maxLength: 4, selector: (element) => element.key.join() },
  );
}

const hookOptions: readonly Hook[] = [
  { type: 'nat', hook: 'prerouting', priority: -100 },
  { type: 'filter', hook: 'prerouting', priority: -300 },
  { type: 'nat', hook: 'output', priority: -100 },
  { type: 'nat', hook: 'postrouting', priority: 105 },
  { type: 'filter', hook: 'forward', priority: -10 },
  { type: 'filter', hook: 'input', priority: -110 },
];

/** Chain `i` of `count`; only the first half are base chains, and jumps lead to chains behind their own. */
function chain(i: number, count: number, sets: readonly SetDeclaration[]): fc.Arbitrary<Chain> {
  const isBase = i < count / 2;
  const targets = Array.from({ length: count }, (_, k) => k).filter((k) => k > i && k >= count / 2);
  const hook = isBase ? fc.constantFrom(...hookOptions) : fc.constant(undefined);
  return hook.chain((at) =>
    fc
      .array(
        rule(
          sets,
          targets.map((k) => `chain-${k}`),
          at,
        ),
        { maxLength: 3 },
      )
      .map((rules) => ({
        name: `chain-${i}`,
        ...(at !== undefined && { hook: at }),
        rules,
      })),
  );
}

function rule(sets: readonly SetDeclaration[], targets: readonly string[], hook: Hook | undefined): fc.Arbitrary<Rule> {
  const ends: Statement[] = [{ kind: 'drop' }];
  for (const target of targets) ends.push({ kind: 'jump', chain: target }, { kind: 'goto', chain: target });
  if (hook?.type === 'filter') ends.push({ kind: 'reject' }, { kind: 'reject', with: 'tcp reset' });
  if (hook?.priority === -300) ends.push({ kind: 'notrack' });
  if (hook?.hook === 'postrouting') ends.push({ kind: 'masquerade' });
  if (sets.some(({ name }) => name === recall.memory)) ends.push(...memoryStatements(hook));
  const translates = hook?.type === 'nat' && hook.hook !== 'postrouting';
  for (const set of sets) {
    // Address and port are what the translation reads.
    if (translates && set.data?.join() === 'ip daddr,th dport')
      ends.push({ kind: 'dnat', key: asKey(set), map: set.name });
  }
  return fc
    .record({
      matches: fc.array(fc.constantFrom(...matches(sets)), { maxLength: 3 }),
      end: fc.constantFrom(...ends),
      comment: optional(text()),
    })
    .map(({ matches, end, comment }) => ({
      statements: [...matches, end],
      ...(comment !== undefined && !('memory' in end) && { comment }),
    }));
}

function memoryStatements(hook: Hook | undefined): Statement[] {
  const statements: Statement[] = [
    { kind: 'forget', ...recall },
    { kind: 'remember', ...recall, seconds: 1 },
    { kind: 'remember', ...recall, seconds: 93_784 },
  ];
  if (hook?.type === 'nat' && hook.hook !== 'postrouting') {
    statements.push({ kind: 'dnat remembered', ...recall, endpoints: 'known' });
  }
  return statements;
}

function asKey(set: SetDeclaration): Key {
  return set.key;
}

function matches(sets: readonly SetDeclaration[]): Statement[] {
  const statements: Statement[] = [
    { kind: 'meta l4proto', protocol: 'udp' },
    { kind: 'ct state', state: 'new' },
    { kind: 'ct status', status: 'dnat' },
    { kind: 'ct status', status: 'dnat', negated: true },
    { kind: 'from node' },
    { kind: 'from node', negated: true },
    { kind: 'iifname', name: 'cni0' },
    { kind: 'iifname', name: 'veth', prefix: true, negated: true },
  ];
  for (const set of sets) {
    if (set.data !== undefined) continue;
    const last = set.key.at(-1);
    if (last === 'ip saddr' && set.interval !== true) {
      const key: Key = [...set.key.slice(0, -1), 'ip saddr & 255.255.240.0'];
      statements.push({ kind: 'lookup', key, set: set.name, negated: true });
    }
    if (last === 'th dport') {
      statements.push({ kind: 'lookup', key: [...set.key.slice(0, -1), 'th sport'], set: set.name });
    }
    statements.push({ kind: 'lookup', key: set.key, set: set.name });
    statements.push({ kind: 'lookup', key: set.key, set: set.name, negated: true });
  }
  return statements;
}
