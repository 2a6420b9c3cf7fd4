import type { NodeFacts } from '../../model/types.ts';
import { formatCidr, widest } from '../../net/cidr.ts';
import { familyOf, type Ip, type IpFamily, isLoopback } from '../../net/ip.ts';
import {
  type Block,
  type Chain,
  type KnownRule,
  type Match,
  type Matched,
  orMark,
  type Program,
  type Rule,
  type Target,
  xorMark,
} from '../../rules/iptables/syntax.ts';
import { chainNames } from './names.ts';

/** What the rules depend on besides Services. */
export interface RuleContext {
  readonly family: IpFamily;
  readonly node: NodeFacts;
  /** The bit of a packet's mark, 0 to 31, that says that it is to be masqueraded. */
  readonly masqueradeBit: number;
  /** Whether node ports are served on 127.0.0.1 where they are on every address. */
  readonly localhostNodePorts: boolean;
  /** Whether packets that connection tracking cannot place are dropped on their way through. */
  readonly dropInvalid: boolean;
}

/** The tables of one family without any Service. */
export function compileBase(context: RuleContext): Program {
  const canary = chain(chainNames.canary, []);
  return [
    { name: 'mangle', chains: [canary] },
    {
      name: 'nat',
      chains: [
        canary,
        chain(chainNames.markMasquerade, [{ matches: [], target: orMark(markOf(context)) }]),
        ...markOffCluster(context),
        chain(chainNames.postrouting, postrouting(context)),
        chain(chainNames.nodePorts, []),
        chain(chainNames.services, nodePortEntrances(context)),
        builtIn('PREROUTING', [portals]),
        builtIn('OUTPUT', [portals]),
        builtIn('POSTROUTING', [jump(chainNames.postrouting, 'kubernetes postrouting rules')]),
      ],
    },
    {
      name: 'filter',
      chains: [
        canary,
        chain(chainNames.services, []),
        chain(chainNames.externalServices, []),
        chain(chainNames.nodePorts, []),
        chain(chainNames.forward, forward(context)),
        chain(chainNames.firewall, loopbackGuard(context)),
        builtIn('INPUT', [
          newOnly(chainNames.firewall, 'kubernetes load balancer firewall'),
          jump(chainNames.nodePorts, 'kubernetes health check service ports'),
          newOnly(chainNames.externalServices, 'kubernetes externally-visible service portals'),
        ]),
        builtIn('FORWARD', [
          newOnly(chainNames.firewall, 'kubernetes load balancer firewall'),
          jump(chainNames.forward, 'kubernetes forwarding rules'),
          newOnly(chainNames.services, 'kubernetes service portals'),
          newOnly(chainNames.externalServices, 'kubernetes externally-visible service portals'),
        ]),
        builtIn('OUTPUT', [
          newOnly(chainNames.firewall, 'kubernetes load balancer firewall'),
          newOnly(chainNames.services, 'kubernetes service portals'),
          // A process of the node is to hear at once, as a client from elsewhere does.
          newOnly(chainNames.externalServices, 'kubernetes externally-visible service portals'),
        ]),
      ],
    },
  ];
}

function chain(name: string, rules: readonly Rule[]): Chain {
  return { name, rules };
}

/** What stands in a chain of the kernel's; what its owner lets through is none of ours. */
function builtIn(name: string, rules: readonly Rule[]): Chain {
  return { name, policy: 'ACCEPT', rules };
}

/** A comment as a match. */
export function comment(text: string): Match {
  return { kind: 'comment', text };
}

function jump(to: string, text: string): KnownRule {
  return { matches: [comment(text)], target: { kind: 'jump', chain: to } };
}

const portals = jump(chainNames.services, 'kubernetes service portals');

/** These chains have a rule for many a Service, and only the first packet of a connection has anything to find there. */
function newOnly(to: string, text: string): KnownRule {
  return { matches: [{ kind: 'ctstate', states: ['NEW'] }, comment(text)], target: { kind: 'jump', chain: to } };
}

/** The mark of packets to be masqueraded. */
function markOf({ masqueradeBit }: RuleContext): number {
  return (1 << masqueradeBit) >>> 0;
}

function postrouting(context: RuleContext): KnownRule[] {
  const mark = markOf(context);
  return [
    { matches: [{ kind: 'mark', value: mark, mask: mark, negated: true }], target: { kind: 'RETURN' } },
    // Off again, as the packet may come through once more on its way to another device.
    { matches: [], target: xorMark(mark) },
    {
      matches: [comment('kubernetes service traffic requiring SNAT')],
      target: { kind: 'MASQUERADE', randomFully: true },
    },
  ];
}

function forward(context: RuleContext): KnownRule[] {
  const mark = markOf(context);
  const accept: Target = { kind: 'ACCEPT' };
  return [
    // A reset that connection tracking cannot place would go out untranslated and end the client's connection.
    ...(context.dropInvalid
      ? [{ matches: [{ kind: 'ctstate', states: ['INVALID'] }], target: { kind: 'DROP' } } satisfies KnownRule]
      : []),
    { matches: [comment('kubernetes forwarding rules'), { kind: 'mark', value: mark, mask: mark }], target: accept },
    {
      matches: [
        comment('kubernetes forwarding conntrack rule'),
        { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] },
      ],
      target: accept,
    },
  ];
}

/** Whether node ports are served on 127.0.0.0/8; IPv6 has no way to. */
export function servesLoopback({ family, node, localhostNodePorts }: RuleContext): boolean {
  if (family === 'IPv6' || !localhostNodePorts) return false;
  return node.nodePortsEverywhere.includes(family) || nodePortAddresses(node, family).some(isLoopback);
}

/** Who serves node ports on loopback lets packets for it in from the network: none may that began there. */
function loopbackGuard(context: RuleContext): KnownRule[] {
  if (!servesLoopback(context)) return [];
  return [
    {
      source: { value: loopback.IPv4, negated: true },
      destination: { value: loopback.IPv4 },
      matches: [
        comment('block incoming localnet connections'),
        { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED', 'DNAT'], negated: true },
      ],
      target: { kind: 'DROP' },
    },
  ];
}

const loopback: { readonly [F in IpFamily]: Block } = { IPv4: '127.0.0.0/8', IPv6: '::1/128' };

function nodePortAddresses(node: NodeFacts, family: IpFamily) {
  return node.nodePortAddresses.filter((ip) => familyOf(ip) === family);
}

function nodePortEntrances(context: RuleContext): KnownRule[] {
  const { node, family } = context;
  const matches = [comment('kubernetes service nodeports; NOTE: this must be the last rule in this chain')];
  const target: Target = { kind: 'jump', chain: chainNames.nodePorts };
  if (node.nodePortsEverywhere.includes(family)) {
    const local: Match = { kind: 'addrtype', destination: { value: 'LOCAL' } };
    const butLoopback: Pick<KnownRule, 'destination'> = servesLoopback(context)
      ? {}
      : { destination: { value: loopback[family], negated: true } };
    return [{ ...butLoopback, matches: [...matches, local], target }];
  }
  return nodePortAddresses(node, family)
    .filter((ip) => !isLoopback(ip) || servesLoopback(context))
    .map((ip) => ({ destination: { value: hostBlock(ip) }, matches, target }));
}

/** An address as rules have it. */
export function hostBlock(ip: Ip): Block {
  return `${ip}/${familyOf(ip) === 'IPv4' ? 32 : 128}`;
}

/** What a rule says of a packet's source. */
export type SourceMatch = Pick<KnownRule, 'source' | 'inInterface'>;

/** Ways to match the Pods of the cluster, any of which is enough. */
export function podSources({ node: { localTraffic }, family }: RuleContext): SourceMatch[] {
  switch (localTraffic.by) {
    case 'source':
      return widest(localTraffic.blocks.filter((block) => block.family === family)).map((block) =>
        block.prefix === 0 ? {} : { source: { value: formatCidr(block) } },
      );
    case 'interface':
      return [{ inInterface: { value: localTraffic.name } }];
    case 'interface-prefix':
      return [{ inInterface: { value: `${localTraffic.prefix}+` } }];
  }
}

/** How all but Pods of the cluster are marked: which of the packets are led to which chain; `undefined` if none is. */
export function offClusterMark(context: RuleContext): { sources: SourceMatch; chain: string } | undefined {
  const [pods, ...more] = podSources(context);
  if (pods === undefined) return undefined;
  if (more.length > 0) return { sources: {}, chain: chainNames.markOffCluster };
  const { source, inInterface } = pods;
  if (source !== undefined) return { sources: { source: not(source) }, chain: chainNames.markMasquerade };
  if (inInterface !== undefined)
    return { sources: { inInterface: not(inInterface) }, chain: chainNames.markMasquerade };
  return undefined;
}

function not<T>({ value }: Matched<T>): Matched<T> {
  return { value, negated: true };
}

/** One rule can exclude one block of sources; several take a chain. */
function markOffCluster(context: RuleContext): Chain[] {
  if (offClusterMark(context)?.chain !== chainNames.markOffCluster) return [];
  const returns = podSources(context).map(
    (sources): KnownRule => ({ ...sources, matches: [], target: { kind: 'RETURN' } }),
  );
  const mark: KnownRule = { matches: [], target: { kind: 'jump', chain: chainNames.markMasquerade } };
  return [chain(chainNames.markOffCluster, [...returns, mark])];
}
