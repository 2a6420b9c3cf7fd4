import fc from 'fast-check';
import { compileBase, type RuleContext } from '../../src/backends/iptables/compile.ts';
import { isSharedChain } from '../../src/backends/iptables/names.ts';
import { compileServicePort } from '../../src/backends/iptables/service.ts';
import type { ServicePort } from '../../src/model/types.ts';
import { type IpFamily, ipFromBigInt } from '../../src/net/ip.ts';
import type { WantedChain } from '../../src/rules/iptables/diff.ts';
import { RuleStore } from '../../src/rules/iptables/store.ts';
import {
  type Block,
  type ConnectionState,
  type KnownRule,
  type Match,
  type Matched,
  type Target,
  type TransportProtocol,
  tableNames,
} from '../../src/rules/iptables/syntax.ts';

/** All chains of some Service ports, as `iptables-save` lists them after a load. */
export function listing(context: RuleContext, ports: Iterable<ServicePort>): string {
  const store = new RuleStore(context.family);
  for (const port of ports) store.replace(port.name, compileServicePort(port, context));
  return textOf([...store.chains(compileBase(context), isSharedChain)]);
}

function textOf(chains: readonly WantedChain[]): string {
  const lines = tableNames.flatMap((table) => {
    const own = chains.filter((chain) => chain.table === table);
    const declared = own.map(({ chain, kind }) => `:${chain} ${kind === 'built-in' ? 'ACCEPT' : '-'} [0:0]`);
    return [
      `*${table}`,
      ...declared,
      ...own.flatMap(({ chain, rules }) => rules.map((rule) => `-A ${chain} ${rule}`)),
      'COMMIT',
    ];
  });
  return `${lines.join('\n')}\n`;
}

/** Rules that the tool takes in the chains of table nat or filter that anybody may make. */
export function rules(family: IpFamily): fc.Arbitrary<KnownRule> {
  return fc
    .record({
      source: optional(matched(block(family))),
      destination: optional(matched(block(family))),
      inInterface: optional(matched(fc.constantFrom('cni0', 'veth+', 'eth0'))),
      transport: optional(fc.constantFrom<TransportProtocol>('tcp', 'udp', 'sctp')),
      ports: fc.record({ sourcePort: optional(port()), destinationPort: optional(port()) }),
      others: fc.array(match(), { maxLength: 3 }),
      target: optional(target(family)),
    })
    .map(({ transport, ports, others, target, ...header }) => {
      const portMatch: Match[] =
        transport === undefined ? [] : [{ kind: 'ports', protocol: transport, ...defined(ports) }];
      const translates = target?.kind === 'DNAT' || (target?.kind === 'REJECT' && target.with === 'tcp-reset');
      // Only with a protocol that has ports.
      if (translates && transport !== 'tcp') target = { kind: 'RETURN' };
      return defined({
        ...header,
        protocol: transport === undefined ? undefined : { value: transport },
        matches: [...others, ...portMatch],
        target,
      }) as KnownRule;
    });
}

function optional<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined });
}

/** The same without what is undefined. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as never;
}

function matched<T>(value: fc.Arbitrary<T>): fc.Arbitrary<Matched<T>> {
  return fc
    .record({ value, negated: fc.boolean() })
    .map(({ value, negated }) => ({ value, ...(negated && { negated }) }));
}

function port(): fc.Arbitrary<number> {
  return fc.integer({ min: 1, max: 65535 });
}

function ip(family: IpFamily) {
  const bits = family === 'IPv4' ? 32n : 128n;
  return fc.bigInt({ min: 1n, max: (1n << bits) - 1n }).map((value) => ipFromBigInt(value, family));
}

function block(family: IpFamily): fc.Arbitrary<Block> {
  const bits = family === 'IPv4' ? 32 : 128;
  return fc
    .record({
      value: fc.bigInt({ min: 1n, max: (1n << BigInt(bits)) - 1n }),
      prefix: fc.integer({ min: 1, max: bits }),
    })
    .map(({ value, prefix }): Block => {
      const rest = BigInt(bits - prefix);
      return `${ipFromBigInt((value >> rest) << rest, family)}/${prefix}`;
    });
}

const states = fc.uniqueArray(
  fc.constantFrom<ConnectionState>('INVALID', 'NEW', 'RELATED', 'ESTABLISHED', 'UNTRACKED', 'SNAT', 'DNAT'),
  { minLength: 1 },
);

function flag(): fc.Arbitrary<{ negated?: true }> {
  return fc.boolean().map((negated) => (negated ? { negated } : {}));
}

const words = fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/);
const unsigned = fc.integer({ min: 0, max: 0xffff_ffff });

function match(): fc.Arbitrary<Match> {
  return fc.oneof(
    fc.stringMatching(/^[ -~]{1,60}$/).map((text): Match => ({ kind: 'comment', text })),
    fc
      .record({
        source: optional(matched(fc.constant('LOCAL' as const))),
        destination: matched(fc.constant('LOCAL' as const)),
      })
      .map((sides) => ({ kind: 'addrtype', ...defined(sides) }) as Match),
    fc.integer({ min: 0, max: 0x8000_0000 }).map((threshold): Match => ({ kind: 'statistic', threshold })),
    words.map((name): Match => ({ kind: 'recent set', name })),
    fc
      .record({ name: words, seconds: fc.integer({ min: 1, max: 86400 }), reap: fc.boolean() })
      .map(({ reap, ...rest }): Match => ({ kind: 'recent rcheck', ...rest, ...(reap && { reap }) })),
    fc.record({ value: unsigned, mask: unsigned, not: flag() }).map(
      // The tool takes no bits that the mask does not have.
      ({ value, mask, not }): Match => ({ kind: 'mark', value: (value & mask) >>> 0, mask, ...not }),
    ),
    fc.record({ states, not: flag() }).map(({ states, not }): Match => ({ kind: 'ctstate', states, ...not })),
    fc.constantFrom('ORIGINAL' as const, 'REPLY' as const).map((direction): Match => ({ kind: 'ctdir', direction })),
  );
}

function target(family: IpFamily): fc.Arbitrary<Target> {
  return fc.oneof(
    fc.constantFrom<Target>({ kind: 'ACCEPT' }, { kind: 'RETURN' }),
    fc.record({ ip: ip(family), port: port() }).map((to): Target => ({ kind: 'DNAT', ...to })),
    fc.record({ value: unsigned, mask: unsigned }).map((mark): Target => ({ kind: 'MARK', ...mark })),
    fc.constantFrom<Target>({ kind: 'jump', chain: 'KUBE-MARK-MASQ' }, { kind: 'goto', chain: 'KUBE-MARK-MASQ' }),
  );
}
