import type { NodeFacts } from '../../model/types.ts';
import { type Cidr, cidrContains, formatCidr } from '../../net/cidr.ts';
import type { IpFamily } from '../../net/ip.ts';
import type {
  Block,
  Chain,
  Key,
  Program,
  Rule,
  SetDeclaration,
  Statement,
  TableFamily,
  TypeSelector,
} from '../../rules/nftables/syntax.ts';
import { drawModuli, drawSizes } from './draw.ts';
import { chainNames, drawName, setNames, tableName } from './names.ts';

/** nft's word for a family. */
function tableFamily(family: IpFamily): TableFamily {
  return family === 'IPv4' ? 'ip' : 'ip6';
}

/** The selectors of one family that the rules are made of. */
interface Keys {
  readonly source: TypeSelector;
  readonly destination: TypeSelector;
  /** What a client sends to. */
  readonly frontend: readonly TypeSelector[];
  /** The same, of a packet that has been sent on to an endpoint. */
  readonly originalFrontend: Key;
}

/**
 * The table of one family with no Service in it. Nothing but elements ever changes with Services, so this is the
 * whole of its shape; it depends on the node only by the elements of `local-sources`.
 */
export function compileBase(facts: NodeFacts, family: IpFamily, table: string = tableName): Program {
  const word = tableFamily(family);
  const keys: Keys = {
    source: `${word} saddr`,
    destination: `${word} daddr`,
    frontend: [`${word} daddr`, 'meta l4proto', 'th dport'],
    originalFrontend: [`ct original ${word} daddr`, 'meta l4proto', 'ct original proto-dst'],
  };
  return {
    family: word,
    table,
    comment: 'Kubernetes Services, kept by signalbox proxy',
    sets: sets(keys),
    chains: [...filterChains(keys), ...natChains(keys), ...drawSizes.map((size) => drawChain(size, keys))],
    elements: widest(sourceBlocks(facts).filter((block) => block.family === family)).map((block) => ({
      set: setNames.localSources,
      key: [formatCidr(block) as Block],
    })),
  };
}

function sourceBlocks({ localTraffic }: NodeFacts): readonly Cidr[] {
  return localTraffic.by === 'source' ? localTraffic.blocks : [];
}

function sets({ source, destination, frontend }: Keys): SetDeclaration[] {
  const index = `numgen random mod ${drawSizes.at(-1) ?? 0}` as const;
  return [
    { name: setNames.services, key: frontend },
    ...drawSizes.map((size) => ({ name: drawName(size), key: frontend })),
    { name: setNames.endpoints, key: [...frontend, index], data: [destination, 'th dport'] },
    { name: setNames.reject, key: frontend },
    { name: setNames.drop, key: frontend },
    { name: setNames.clusterIps, key: [destination] },
    { name: setNames.masqueradeAlways, key: frontend },
    { name: setNames.masqueradeOffCluster, key: frontend },
    { name: setNames.hairpin, key: [source, destination] },
    { name: setNames.localSources, key: [source], interval: true },
  ];
}

/** Just before the filter chains of others, and after address translation, also where the node itself sends. */
const filterPriority = -10;

function filterChains({ destination, frontend }: Keys): Chain[] {
  const checked = rule({ kind: 'ct state', state: 'new' }, { kind: 'jump', chain: chainNames.unanswered });
  const refuse: Statement = { kind: 'goto', chain: chainNames.refuse };
  const filter = (hook: 'input' | 'forward' | 'output') =>
    ({ type: 'filter', hook, priority: filterPriority }) as const;
  return [
    { name: chainNames.filterInput, hook: filter('input'), rules: [checked] },
    { name: chainNames.filterForward, hook: filter('forward'), rules: [checked] },
    { name: chainNames.filterOutput, hook: filter('output'), rules: [checked] },
    {
      name: chainNames.unanswered,
      rules: [
        rule({ kind: 'lookup', key: frontend, set: setNames.drop }, { kind: 'drop' }),
        rule({ kind: 'lookup', key: frontend, set: setNames.reject }, refuse),
        // What still has a cluster IP as destination behind address translation was for no port of a Service.
        rule({ kind: 'lookup', key: [destination], set: setNames.clusterIps }, refuse),
      ],
    },
    {
      name: chainNames.refuse,
      rules: [
        // The kernel sends few ICMP messages a second to one host, but every reset.
        rule({ kind: 'reject', with: 'tcp reset' }),
        rule({ kind: 'meta l4proto', protocol: 'udp' }, { kind: 'reject' }),
        rule({ kind: 'meta l4proto', protocol: 'sctp' }, { kind: 'reject' }),
      ],
    },
  ];
}

function natChains({ source, destination, frontend, originalFrontend }: Keys): Chain[] {
  const translated: Statement = { kind: 'ct status', status: 'dnat' };
  const masquerade: Statement = { kind: 'masquerade' };
  // What is not for a Service has one look-up and not as many as there are draw sizes.
  const toServices = rule(
    { kind: 'lookup', key: frontend, set: setNames.services },
    { kind: 'jump', chain: chainNames.services },
  );
  return [
    {
      name: chainNames.natPrerouting,
      hook: { type: 'nat', hook: 'prerouting', priority: -100 },
      rules: [toServices],
    },
    { name: chainNames.natOutput, hook: { type: 'nat', hook: 'output', priority: -100 }, rules: [toServices] },
    {
      name: chainNames.natPostrouting,
      hook: { type: 'nat', hook: 'postrouting', priority: 100 },
      rules: [
        rule(translated, { kind: 'lookup', key: originalFrontend, set: setNames.masqueradeAlways }, masquerade),
        rule(
          translated,
          { kind: 'lookup', key: [source], set: setNames.localSources, negated: true },
          { kind: 'lookup', key: originalFrontend, set: setNames.masqueradeOffCluster },
          masquerade,
        ),
        rule(translated, { kind: 'lookup', key: [source, destination], set: setNames.hairpin }, masquerade),
      ],
    },
    {
      name: chainNames.services,
      rules: drawSizes.map((size) =>
        rule({ kind: 'lookup', key: frontend, set: drawName(size) }, { kind: 'goto', chain: drawName(size) }),
      ),
    },
  ];
}

function drawChain(size: number, { frontend }: Keys): Chain {
  const draw = (modulus: number): Rule =>
    rule({ kind: 'dnat', key: [...frontend, `numgen random mod ${modulus}`], map: setNames.endpoints });
  const rules = new Map(drawModuli(size).map((modulus) => [modulus, draw(modulus)]));
  return { name: drawName(size), rules: drawModuli(size).flatMap((modulus) => rules.get(modulus) ?? []) };
}

function rule(...statements: readonly Statement[]): Rule {
  return { statements };
}

/** Without those that lie in another: nft's intervals must not overlap. */
function widest(blocks: readonly Cidr[]): Cidr[] {
  const kept: Cidr[] = [];
  for (const block of [...blocks].sort((a, b) => a.prefix - b.prefix)) {
    if (!kept.some((wider) => cidrContains(wider, block.base))) kept.push(block);
  }
  return kept;
}
