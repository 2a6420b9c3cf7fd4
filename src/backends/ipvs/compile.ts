import type { NodeFacts } from '../../model/types.ts';
import { formatCidr, widest } from '../../net/cidr.ts';
import type { IpFamily } from '../../net/ip.ts';
import {
  type Chain,
  type KnownRule,
  type Match,
  orMark,
  type Program,
  type Target,
  xorMark,
} from '../../rules/iptables/syntax.ts';
import { chainNames, insideMark, insideMask, type SetName, setNameIn } from './names.ts';

/** What the rules depend on. */
export interface RuleContext {
  readonly family: IpFamily;
  readonly node: NodeFacts;
  /** The bit of a packet's mark, 0 to 31, that says that it is to be masqueraded. */
  readonly masqueradeBit: number;
}

/**
 * The rules of one family. They are the same whatever Services there are, as all that varies is in sets and in IPVS;
 * they depend on the node only by what tells its Pods from others.
 */
export function compileRules(context: RuleContext): Program {
  const rules = new Rules(context);
  return [
    { name: 'mangle', chains: rules.mangle() },
    { name: 'nat', chains: rules.nat() },
    { name: 'filter', chains: rules.filter() },
  ];
}

/** What a rule says of a packet's source. */
type SourceMatch = Pick<KnownRule, 'source' | 'inInterface'>;

const isNew: Match = { kind: 'ctstate', states: ['NEW'] };
/** Packets that are led by `KUBE-INSIDE`. */
const isInside: Match = { kind: 'mark', value: insideMark, mask: insideMask };
const back: Target = { kind: 'RETURN' };
const markMasquerade: Target = { kind: 'jump', chain: chainNames.markMasquerade };

class Rules {
  readonly #node: NodeFacts;
  readonly #family: IpFamily;
  readonly #masqueradeMark: number;

  constructor({ node, family, masqueradeBit }: RuleContext) {
    this.#node = node;
    this.#family = family;
    this.#masqueradeMark = (1 << masqueradeBit) >>> 0;
  }

  /** Before anything is translated: who may come in at all, and who is led elsewhere than others. */
  mangle(): Chain[] {
    const entrance = (chain: string, inside: readonly SourceMatch[]) =>
      builtIn(chain, [
        jump(chainNames.firewall, 'kubernetes load balancer firewall'),
        ...inside.map((source) => ({ ...source, ...jump(chainNames.inside, 'kubernetes clients inside') })),
        jump(chainNames.services, 'kubernetes services without endpoints'),
      ]);
    return [
      chain(chainNames.firewall, [
        {
          matches: [isNew, this.#to('KUBE-LOAD-BALANCER-FW')],
          target: { kind: 'jump', chain: chainNames.sourceRanges },
        },
      ]),
      chain(chainNames.sourceRanges, [
        { matches: [this.#set('KUBE-LOAD-BALANCER-SOURCE-IP', ['dst', 'dst', 'src'])], target: back },
        { matches: [this.#set('KUBE-LOAD-BALANCER-SOURCE-CIDR', ['dst', 'dst', 'src'])], target: back },
        { matches: [], target: { kind: 'DROP' } },
      ]),
      chain(chainNames.inside, [
        { matches: [], target: { kind: 'SET', set: this.#name('KUBE-INSIDE'), parts: ['dst', 'dst'] } },
      ]),
      chain(chainNames.services, [
        { matches: [isInside], target: back },
        { matches: [isNew, this.#to('KUBE-NO-ENDPOINTS-DROP')], target: { kind: 'DROP' } },
      ]),
      entrance('PREROUTING', this.#podSources()),
      entrance('OUTPUT', [{}]),
    ];
  }

  /** Whose source address becomes the node's. The destination is IPVS's affair. */
  nat(): Chain[] {
    const services = jump(chainNames.services, 'kubernetes service portals');
    return [
      chain(chainNames.markMasquerade, [{ matches: [], target: orMark(this.#masqueradeMark) }]),
      chain(chainNames.loadBalancer, [
        { matches: [this.#to('KUBE-LOAD-BALANCER-LOCAL')], target: back },
        { matches: [], target: markMasquerade },
      ]),
      chain(chainNames.clusterIp, this.#clusterIp()),
      chain(chainNames.nodePort, this.#nodePort()),
      chain(chainNames.services, this.#services()),
      chain(chainNames.postrouting, this.#postrouting()),
      builtIn('PREROUTING', [services]),
      builtIn('OUTPUT', [services]),
      builtIn('POSTROUTING', [jump(chainNames.postrouting, 'kubernetes postrouting rules')]),
    ];
  }

  /** What is refused, and let through. IPVS takes packets behind these chains. */
  filter(): Chain[] {
    return [
      chain(chainNames.filter, this.#refusals()),
      chain(chainNames.nodePort, [
        {
          protocol: { value: 'tcp' },
          matches: [comment('Kubernetes health check node port'), this.#set('KUBE-HEALTH-CHECK-NODE-PORT', ['dst'])],
          target: { kind: 'ACCEPT' },
        },
      ]),
      chain(chainNames.forward, [
        {
          matches: [
            comment('kubernetes forwarding rules'),
            { kind: 'mark', value: this.#masqueradeMark, mask: this.#masqueradeMark },
          ],
          target: { kind: 'ACCEPT' },
        },
        {
          matches: [
            comment('kubernetes forwarding conntrack rule'),
            { kind: 'ctstate', states: ['RELATED', 'ESTABLISHED'] },
          ],
          target: { kind: 'ACCEPT' },
        },
      ]),
      builtIn('INPUT', [
        jump(chainNames.filter, 'kubernetes ipvs access filter'),
        jump(chainNames.nodePort, 'kubernetes health check rules'),
      ]),
      builtIn('FORWARD', [jump(chainNames.forward, 'kubernetes forwarding rules')]),
    ];
  }

  #services(): KnownRule[] {
    return [
      // IPVS takes the mark as a whole: no other bit may come to it.
      { matches: [isInside], target: back },
      {
        matches: [comment('Kubernetes service lb portal'), this.#to('KUBE-LOAD-BALANCER')],
        target: { kind: 'jump', chain: chainNames.loadBalancer },
      },
      { matches: [this.#to('KUBE-CLUSTER-IP-MASQ')], target: markMasquerade },
      {
        matches: [comment('Kubernetes service cluster ip + port for masquerade purpose'), this.#to('KUBE-CLUSTER-IP')],
        target: { kind: 'jump', chain: chainNames.clusterIp },
      },
      {
        matches: [comment('Kubernetes service external ip + port'), this.#to('KUBE-EXTERNAL-IP')],
        target: markMasquerade,
      },
      // Who calls an address of his own has that address as his: no answer would come back from elsewhere.
      { matches: [this.#set('KUBE-IPVS-IPS', ['src'])], target: markMasquerade },
      {
        matches: [{ kind: 'addrtype', destination: { value: 'LOCAL' } }],
        target: { kind: 'jump', chain: chainNames.nodePort },
      },
    ];
  }

  /** All but Pods are marked; nobody, as long as it is not known who is a Pod. */
  #clusterIp(): KnownRule[] {
    const pods = this.#podSources();
    if (pods.length === 0) return [];
    return [
      ...pods.map((source): KnownRule => ({ ...source, matches: [], target: back })),
      { matches: [], target: markMasquerade },
    ];
  }

  #nodePort(): KnownRule[] {
    const rule = (protocol: 'tcp' | 'udp', name: SetName, target: Target): KnownRule => ({
      protocol: { value: protocol },
      matches: [this.#set(name, ['dst'])],
      target,
    });
    return [
      rule('tcp', 'KUBE-NODE-PORT-LOCAL-TCP', back),
      rule('tcp', 'KUBE-NODE-PORT-TCP', markMasquerade),
      rule('udp', 'KUBE-NODE-PORT-LOCAL-UDP', back),
      rule('udp', 'KUBE-NODE-PORT-UDP', markMasquerade),
      { matches: [this.#to('KUBE-NODE-PORT-LOCAL-SCTP-HASH')], target: back },
      { matches: [this.#to('KUBE-NODE-PORT-SCTP-HASH')], target: markMasquerade },
    ];
  }

  #postrouting(): KnownRule[] {
    const masquerade: Target = { kind: 'MASQUERADE', randomFully: true };
    return [
      {
        matches: [
          comment('Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose'),
          this.#set('KUBE-LOOP-BACK', ['dst', 'dst', 'src']),
        ],
        target: masquerade,
      },
      // Of the clients inside only this node's own processes: Pods keep their address.
      { matches: [isInside, { kind: 'addrtype', source: { value: 'LOCAL' } }], target: masquerade },
      { matches: [isInside], target: back },
      {
        matches: [{ kind: 'mark', value: this.#masqueradeMark, mask: this.#masqueradeMark, negated: true }],
        target: back,
      },
      // Off again, as the packet may come through once more on its way to another device.
      { matches: [], target: xorMark(this.#masqueradeMark) },
      { matches: [comment('kubernetes service traffic requiring SNAT')], target: masquerade },
    ];
  }

  #refusals(): KnownRule[] {
    const unreachable = this.#family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
    const refuse = (match: Match): KnownRule[] => [
      // The kernel sends few ICMP messages a second to one host, but every reset.
      { protocol: { value: 'tcp' }, matches: [isNew, match], target: { kind: 'REJECT', with: 'tcp-reset' } },
      { matches: [isNew, match], target: { kind: 'REJECT', with: unreachable } },
    ];
    const served: readonly SetName[] = [
      'KUBE-LOAD-BALANCER',
      'KUBE-CLUSTER-IP',
      'KUBE-EXTERNAL-IP',
      'KUBE-EXTERNAL-IP-LOCAL',
    ];
    return [
      { matches: [isInside], target: back },
      ...refuse(this.#to('KUBE-NO-ENDPOINTS')),
      ...served.map((name) => ({ matches: [this.#to(name)], target: back })),
      // A process that listens on all addresses of the node is not to be met at a Service's.
      ...refuse(this.#set('KUBE-IPVS-IPS', ['dst'])),
    ];
  }

  /** Ways to match the Pods of the cluster, any of which is enough. */
  #podSources(): SourceMatch[] {
    const { localTraffic } = this.#node;
    switch (localTraffic.by) {
      case 'source':
        return widest(localTraffic.blocks.filter((block) => block.family === this.#family)).map((block) =>
          block.prefix === 0 ? {} : { source: { value: formatCidr(block) } },
        );
      case 'interface':
        return [{ inInterface: { value: localTraffic.name } }];
      case 'interface-prefix':
        return [{ inInterface: { value: `${localTraffic.prefix}+` } }];
    }
  }

  /** A match of packets to the addresses and ports of a set. */
  #to(name: SetName): Match {
    return this.#set(name, ['dst', 'dst']);
  }

  #set(name: SetName, parts: readonly ('src' | 'dst')[]): Match {
    return { kind: 'set', name: this.#name(name), parts };
  }

  #name(name: SetName): string {
    return setNameIn(name, this.#family);
  }
}

function chain(name: string, rules: readonly KnownRule[]): Chain {
  return { name, rules };
}

/** What stands in a chain of the kernel's; what its owner lets through is none of ours. */
function builtIn(name: string, rules: readonly KnownRule[]): Chain {
  return { name, policy: 'ACCEPT', rules };
}

function comment(text: string): Match {
  return { kind: 'comment', text };
}

function jump(to: string, text: string): KnownRule {
  return { matches: [comment(text)], target: { kind: 'jump', chain: to } };
}
