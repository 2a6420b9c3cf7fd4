import { describe, expect, test } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { type Claim, rankNodes } from './election.ts';
import { ObstacleWatch, type OwnState, obstacleOf } from './obstacles.ts';

const address = parseIp('192.0.2.200');
const names = ['node-1', 'node-2', 'node-3'];
const nodes = (eligible: readonly string[]) =>
  names.map((name) => ({ name, eligible: eligible.includes(name), addresses: [] }));
const everywhere: readonly Claim[] = [{ service: 'default/web' }];

interface Situation {
  readonly eligible?: readonly string[];
  readonly claims?: readonly Claim[];
  readonly here?: boolean;
  readonly serves?: boolean;
}

const stateOf = (nodeName: string, situation: Situation): OwnState => ({
  nodeName,
  picture: {
    claims: new Map([[address, situation.claims ?? everywhere]]),
    nodes: nodes(situation.eligible ?? names),
    isCurrent: true,
  },
  here: new Set(situation.here === false ? [] : [address]),
  serves: () => situation.serves ?? true,
});

/** Who tells what. */
const told = (situation: Situation) =>
  names.flatMap((name) => {
    const why = obstacleOf(address, stateOf(name, situation));
    return why === undefined ? [] : [[name, why]];
  });

describe('obstacleOf', () => {
  const [first = ''] = rankNodes(address, everywhere, nodes(names));
  const excluded = expect.stringContaining('node.kubernetes.io/exclude-from-external-load-balancers');

  test('is nothing where the address can be announced', () => {
    expect(told({})).toEqual([]);
    expect(told({ eligible: ['node-2'] })).toEqual([]);
  });

  test('is told by one node where none may announce', () => {
    expect(told({ eligible: [] })).toEqual([[first, excluded]]);
  });

  test('under policy Local is about the nodes that have endpoints, and nothing where there are none', () => {
    const on = (...some: string[]) => [{ service: 'default/web', onlyOn: new Set(some) }];
    expect(told({ claims: on('node-2') })).toEqual([]);
    expect(told({ claims: on('node-2'), eligible: ['node-1', 'node-3'] })).toEqual([['node-2', excluded]]);
    expect(told({ claims: on() })).toEqual([]);
  });

  test('names the proxy that says nothing, by the node that is wanted most', () => {
    expect(told({ serves: false })).toEqual([[first, expect.stringContaining('proxyHealth')]]);
  });

  test('names the link that is missing', () => {
    expect(told({ here: false })).toEqual([
      [first, expect.stringMatching(/no device .* in that subnet, .* interfaces/)],
    ]);
  });
});

describe('ObstacleWatch', () => {
  const [first = ''] = rankNodes(address, everywhere, nodes(names));

  test('tells what stays for ten seconds, once, and again when it has been otherwise', () => {
    const heard: string[] = [];
    const watch = new ObstacleWatch((ip, why) => heard.push(`${ip} ${why}`));
    const bad = stateOf(first, { serves: false });
    for (const now of [0, 5_000, 9_999]) watch.look(bad, now);
    expect(heard).toEqual([]);
    for (const now of [10_000, 15_000]) watch.look(bad, now);
    expect(heard).toEqual([expect.stringMatching(/^192\.0\.2\.200 .*proxyHealth/)]);
    watch.look(stateOf(first, {}), 20_000);
    for (const now of [25_000, 34_999]) watch.look(bad, now);
    expect(heard).toHaveLength(1);
    watch.look(bad, 35_000);
    expect(heard).toHaveLength(2);
  });

  test('begins anew when the reason is another', () => {
    const heard: string[] = [];
    const watch = new ObstacleWatch((_, why) => heard.push(why));
    watch.look(stateOf(first, { serves: false }), 0);
    watch.look(stateOf(first, { here: false }), 10_000);
    expect(heard).toEqual([]);
    watch.look(stateOf(first, { here: false }), 20_000);
    expect(heard).toEqual([expect.stringContaining('no device')]);
  });
});
