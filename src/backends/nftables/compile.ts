import type { LocalTraffic } from '../../model/types.ts';
import { bits, type Cidr, formatCidr, widest } from '../../net/cidr.ts';
import type { IpFamily } from '../../net/ip.ts';
import type {
  Block,
  Chain,
  Key,
  Program,
  Rule,
  Selector,
  SetDeclaration,
  Statement,
  TableFamily,
  TypeSelector,
} from '../../rules/nftables/syntax.ts';
import { drawModuli, drawSizes } from './draw.ts';
import { chainNames, type Side, setNames, sideNames, sides, sourcesName, stickyName, tableName } from './names.ts';
import { prefixMask, sourcePrefixes } from './source-ranges.ts';

/** nft's word for a family. */
function tableFamily(family: IpFamily): TableFamily {
  return family === 'IPv4' ? 'ip' : 'ip6';
}

/** The selectors of one family that the rules are made of, and what tells Pods. */
interface Parts {
  readonly family: IpFamily;
  readonly word: TableFamily;
  readonly source: TypeSelector;
  readonly destination: TypeSelector;
  /** What a client sends to. */
  readonly frontend: readonly TypeSelector[];
  /** The same, of a packet that has been sent on to an endpoint. */
  readonly originalFrontend: Key;
  readonly fromPod: Statement;
  readonly notFromPod: Statement;
}

/** What of the table depends on more than the family. */
export interface Shape {
  /** How Pods are told from others. */
  readonly localTraffic: LocalTraffic;
  /** For how long there are Service ports that remember their clients, in seconds; absent: there are none. */
  readonly affinitySeconds?: readonly number[];
}

/**
 * The table of one family with no Service in it: nothing but elements changes with Services and endpoints, and one
 * rule without a verdict for each length of time that clients are remembered.
 */
export function compileBase(shape: Shape, family: IpFamily, table: string = tableName): Program {
  const parts = partsOf(shape.localTraffic, family);
  const seconds = [...(shape.affinitySeconds ?? [])].sort((a, b) => a - b);
  return {
    family: parts.word,
    table,
    comment: 'Kubernetes Services, kept by signalbox proxy',
    sets: sets(parts, shape.localTraffic, seconds),
    chains: [
      ...filterChains(parts),
      rememberChain(parts, seconds),
      ...natChains(parts),
      ...sides.flatMap((side) => drawSizes.map((size) => drawChain(size, side, parts))),
    ],
    elements: podBlocks(shape.localTraffic, family).map((block) => ({
      set: setNames.localSources,
      key: [formatCidr(block) as Block],
    })),
  };
}

function partsOf(localTraffic: LocalTraffic, family: IpFamily): Parts {
  const word = tableFamily(family);
  const source = `${word} saddr` as const;
  const fromPod: Statement =
    localTraffic.by === 'source'
      ? { kind: 'lookup', key: [source], set: setNames.localSources }
      : { kind: 'iifname', ...device(localTraffic) };
  return {
    family,
    word,
    source,
    destination: `${word} daddr`,
    frontend: [`${word} daddr`, 'meta l4proto', 'th dport'],
    originalFrontend: [`ct original ${word} daddr`, 'meta l4proto', 'ct original proto-dst'],
    fromPod,
    notFromPod: { ...fromPod, negated: true },
  };
}

function device(localTraffic: Exclude<LocalTraffic, { by: 'source' }>): { name: string; prefix?: true } {
  return localTraffic.by === 'interface' ? { name: localTraffic.name } : { name: localTraffic.prefix, prefix: true };
}

function podBlocks(localTraffic: LocalTraffic, family: IpFamily): readonly Cidr[] {
  return localTraffic.by === 'source' ? widest(localTraffic.blocks.filter((block) => block.family === family)) : [];
}

/** Clients that a node can remember in one family: a few MiB at first, 130 bytes for each. */
const mostClients = 262_144;

function sets({ family, source, destination, frontend }: Parts, { by }: LocalTraffic, seconds: readonly number[]) {
  const endpoint: readonly TypeSelector[] = [destination, 'th dport'];
  const index = `numgen random mod ${drawSizes.at(-1) ?? 0}` as const;
  // With the protocol in front: see the encoding of statements with memory.
  const service: readonly TypeSelector[] = ['meta l4proto', ...endpoint];
  const sideSets = (side: Side): SetDeclaration[] => {
    const names = sideNames[side];
    return [
      { name: names.endpoints, key: [...frontend, index], data: endpoint },
      ...drawSizes.map((size) => ({ name: names.draw(size), key: frontend })),
      { name: names.stickyEndpoints, key: [...service, ...endpoint] },
      { name: names.reject, key: frontend },
      { name: names.drop, key: frontend },
    ];
  };
  const frontends = (...names: readonly string[]): SetDeclaration[] => names.map((name) => ({ name, key: frontend }));
  const all: SetDeclaration[] = [
    ...frontends(setNames.services),
    ...sideSets('any'),
    ...frontends(setNames.inside),
    ...sideSets('inside'),
    { name: setNames.clusterIps, key: [destination] },
    ...frontends(setNames.restricted),
    ...sourcePrefixes[family].map((prefix) => ({ name: sourcesName(prefix), key: [...frontend, source] })),
    ...frontends(setNames.sticky, ...seconds.map(stickyName)),
    { name: setNames.serviceOf, key: service, data: service },
    { name: setNames.affinity, key: [...service, source], data: service, dynamic: { size: mostClients } },
    ...frontends(setNames.masqueradeAlways, setNames.masqueradeOffCluster, setNames.masqueradeOutside),
    ...frontends(setNames.insideMasqueradeAlways, setNames.insideMasqueradeOffCluster),
    { name: setNames.hairpin, key: [source, destination] },
  ];
  return by === 'source' ? [...all, { name: setNames.localSources, key: [source], interval: true as const }] : all;
}

/** Just before the filter chains of others, and after address translation, also where the node itself sends. */
const filterPriority = -10;

function filterChains(parts: Parts): Chain[] {
  const { destination, frontend, originalFrontend, fromPod } = parts;
  const isNew: Statement = { kind: 'ct state', state: 'new' };
  const refuse: Statement = { kind: 'goto', chain: chainNames.refuse };
  const inside = isIn(frontend, setNames.inside);
  const insideUnanswered: Statement = { kind: 'goto', chain: chainNames.insideUnanswered };
  const filter = (hook: 'input' | 'forward' | 'output') =>
    ({ type: 'filter', hook, priority: filterPriority }) as const;
  const remember = rule(isNew, translated, isIn(originalFrontend, setNames.sticky), {
    kind: 'jump',
    chain: chainNames.remember,
  });
  // An endpoint may have the address and port of a frontend without one: what was led there has been answered.
  const checked = rule(isNew, untranslated, { kind: 'jump', chain: chainNames.unanswered });
  const whenEmpty = (side: Side) => [
    rule(isIn(frontend, sideNames[side].drop), { kind: 'drop' }),
    rule(isIn(frontend, sideNames[side].reject), refuse),
  ];
  return [
    { name: chainNames.filterInput, hook: filter('input'), rules: [remember, checked] },
    { name: chainNames.filterForward, hook: filter('forward'), rules: [remember, checked] },
    {
      name: chainNames.filterOutput,
      hook: filter('output'),
      rules: [remember, rule(isNew, untranslated, inside, insideUnanswered), checked],
    },
    {
      name: chainNames.unanswered,
      rules: [
        restriction(parts),
        rule(inside, fromPod, insideUnanswered),
        ...whenEmpty('any'),
        // What still has a cluster IP as destination behind address translation was for no port of a Service.
        rule(isIn([destination], setNames.clusterIps), refuse),
      ],
    },
    { name: chainNames.insideUnanswered, rules: [restriction(parts), ...whenEmpty('inside')] },
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

/** A client is in none of the blocks that the frontend is for. */
function restriction({ family, word, source, frontend }: Parts): Rule {
  const blocks = sourcePrefixes[family].map((prefix): Statement => {
    const client: Selector = prefix === bits(family) ? source : `${word} saddr & ${prefixMask(prefix, family)}`;
    return { kind: 'lookup', key: [...frontend, client], set: sourcesName(prefix), negated: true };
  });
  return rule(isIn(frontend, setNames.restricted), ...blocks, { kind: 'drop' });
}

/** The kernel takes the time from the rule: so there is one for each. */
function rememberChain({ word, originalFrontend }: Parts, affinitySeconds: readonly number[]): Chain {
  return {
    name: chainNames.remember,
    rules: affinitySeconds.map((seconds) =>
      rule(isIn(originalFrontend, stickyName(seconds)), { kind: 'remember', ...recall(word), seconds }),
    ),
  };
}

function recall(family: TableFamily) {
  return { family, services: setNames.serviceOf, memory: setNames.affinity };
}

const translated: Statement = { kind: 'ct status', status: 'dnat' };
const untranslated: Statement = { kind: 'ct status', status: 'dnat', negated: true };

function natChains(parts: Parts): Chain[] {
  const { frontend } = parts;
  // What is not for a Service has one look-up and not as many as there are draw sizes.
  const forService = (chain: string) => rule(isIn(frontend, setNames.services), { kind: 'jump', chain });
  const goInside: Statement = { kind: 'goto', chain: chainNames.insideServices };
  const inside = isIn(frontend, setNames.inside);
  return [
    {
      name: chainNames.natPrerouting,
      hook: { type: 'nat', hook: 'prerouting', priority: -100 },
      rules: [forService(chainNames.services)],
    },
    {
      name: chainNames.natOutput,
      hook: { type: 'nat', hook: 'output', priority: -100 },
      rules: [forService(chainNames.nodeServices)],
    },
    ...masqueradeChains(parts),
    {
      name: chainNames.services,
      rules: [restriction(parts), rule(inside, parts.fromPod, goInside), ...choice('any', parts)],
    },
    {
      name: chainNames.nodeServices,
      rules: [rule(inside, goInside), rule({ kind: 'goto', chain: chainNames.services })],
    },
    { name: chainNames.insideServices, rules: [restriction(parts), ...choice('inside', parts)] },
    stickyChain('any', parts),
    stickyChain('inside', parts),
  ];
}

/** The endpoint that the client had last, or else one that is drawn. */
function choice(side: Side, { frontend }: Parts): Rule[] {
  const { draw } = sideNames[side];
  return [
    rule(isIn(frontend, setNames.sticky), { kind: 'jump', chain: stickyChains[side] }),
    ...drawSizes.map((size) => rule(isIn(frontend, draw(size)), { kind: 'goto', chain: draw(size) })),
  ];
}

const stickyChains: { readonly [S in Side]: string } = { any: chainNames.sticky, inside: chainNames.insideSticky };

/** What is remembered of an endpoint that is gone would be kept, were it not forgotten before the next is drawn. */
function stickyChain(side: Side, { word }: Parts): Chain {
  const { stickyEndpoints: endpoints } = sideNames[side];
  return {
    name: stickyChains[side],
    rules: [rule({ kind: 'dnat remembered', ...recall(word), endpoints }), rule({ kind: 'forget', ...recall(word) })],
  };
}

function masqueradeChains({ source, destination, originalFrontend, fromPod, notFromPod }: Parts): Chain[] {
  const masquerade: Statement = { kind: 'masquerade' };
  const sentTo = (set: string) => isIn(originalFrontend, set);
  const fromNode: Statement = { kind: 'from node' };
  return [
    {
      name: chainNames.natPostrouting,
      hook: { type: 'nat', hook: 'postrouting', priority: 100 },
      rules: [
        rule(translated, sentTo(setNames.masqueradeAlways), masquerade),
        rule(translated, notFromPod, sentTo(setNames.masqueradeOffCluster), masquerade),
        rule(translated, isIn([source, destination], setNames.hairpin), masquerade),
        rule(translated, sentTo(setNames.inside), { kind: 'jump', chain: chainNames.insideMasquerade }),
      ],
    },
    {
      name: chainNames.insideMasquerade,
      rules: [
        rule(fromPod, sentTo(setNames.insideMasqueradeAlways), masquerade),
        rule(fromNode, sentTo(setNames.insideMasqueradeAlways), masquerade),
        rule(fromNode, notFromPod, sentTo(setNames.insideMasqueradeOffCluster), masquerade),
        rule({ ...fromNode, negated: true }, notFromPod, sentTo(setNames.masqueradeOutside), masquerade),
      ],
    },
  ];
}

function isIn(key: Key, set: string): Statement {
  return { kind: 'lookup', key, set };
}

function drawChain(size: number, side: Side, { frontend }: Parts): Chain {
  const { draw, endpoints } = sideNames[side];
  const drawBelow = (modulus: number): Rule =>
    rule({ kind: 'dnat', key: [...frontend, `numgen random mod ${modulus}`], map: endpoints });
  const rules = new Map(drawModuli(size).map((modulus) => [modulus, drawBelow(modulus)]));
  return { name: draw(size), rules: drawModuli(size).flatMap((modulus) => rules.get(modulus) ?? []) };
}

function rule(...statements: readonly Statement[]): Rule {
  return { statements };
}
