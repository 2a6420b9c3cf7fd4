import { familyOf, type IpFamily } from '../net/ip.ts';
import type { Key, Program, Rule } from '../rules/nftables/syntax.ts';
import type { Place } from './places.ts';

/** The table's name, and that of the device. */
export const nodeLocalName = 'nodelocaldns';

const setName = 'served';

/**
 * The rules by which queries to these places, and their answers, pass connection tracking by: in a table of their own, as
 * they concern no proxy. `undefined`: the family has no place. The hooks and priority are those of iptables' table `raw`,
 * before connections are looked up (NF_IP_PRI_RAW, linux/netfilter_ipv4.h).
 */
export function compileNotrack(places: readonly Place[], family: IpFamily): Program | undefined {
  const served = places.filter(({ ip }) => familyOf(ip) === family);
  if (served.length === 0) return undefined;
  const ip = family === 'IPv4' ? 'ip' : 'ip6';
  const sentTo = [`${ip} daddr`, 'meta l4proto', 'th dport'] as const;
  const sentFrom = [`${ip} saddr`, 'meta l4proto', 'th sport'] as const;
  return {
    family: ip,
    table: nodeLocalName,
    comment: 'DNS of this node, without connection tracking',
    sets: [{ name: setName, key: sentTo }],
    chains: [
      { name: 'prerouting', hook: { type: 'filter', hook: 'prerouting', priority: -300 }, rules: [notrack(sentTo)] },
      {
        name: 'output',
        hook: { type: 'filter', hook: 'output', priority: -300 },
        // Answers, and what the node itself asks.
        rules: [notrack(sentFrom), notrack(sentTo)],
      },
    ],
    elements: served.map(({ ip, protocol, port }) => ({ set: setName, key: [ip, protocol, port] })),
  };
}

function notrack(key: Key): Rule {
  return { statements: [{ kind: 'lookup', key, set: setName }, { kind: 'notrack' }] };
}
