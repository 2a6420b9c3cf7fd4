import { readFileSync } from 'node:fs';
import type { Node } from '../api/generated/types.ts';
import type { Logger } from '../component/log.ts';
import { replaceFile } from '../component/replace-file.ts';
import type { Routes } from '../kernel/links.ts';
import { formatCidr, parseCidr } from '../net/cidr.ts';
import { familyOf, type Ip, tryParseIp } from '../net/ip.ts';
import { reasonOf } from './container-run.ts';

/** Ways to the Pods of other nodes: block (`10.244.2.0/24`) to the node's address. */
export type NodeRoutes = ReadonlyMap<string, Ip>;

/** The routes a node needs to reach the Pods of all others, from the Node objects. */
export function wantedRoutes(nodes: Iterable<Node>, ownName: string): NodeRoutes {
  const routes = new Map<string, Ip>();
  for (const { metadata, spec, status } of nodes) {
    if (metadata?.name === ownName) continue;
    const addresses = (status?.addresses ?? []).filter(({ type }) => type === 'InternalIP');
    for (const text of spec?.podCIDRs ?? (spec?.podCIDR === undefined ? [] : [spec.podCIDR])) {
      const cidr = parseCidr(text);
      const ip = addresses
        .map(({ address }) => tryParseIp(address))
        .find((a) => a !== undefined && familyOf(a) === cidr.family);
      if (ip !== undefined) routes.set(formatCidr(cidr), ip);
    }
  }
  return routes;
}

/** Keeps the node's routing table in step with the nodes. */
export interface NodeRouter {
  /** A route the kernel refuses is logged and tried again with the next call. */
  update(nodes: Iterable<Node>): void;
}

/**
 * @param file remembers the routes that were set, so that a later agent can remove those of nodes that went meanwhile
 */
export function createNodeRouter(
  routes: Routes,
  at: { readonly nodeName: string; readonly file: string; readonly log: Logger },
): NodeRouter {
  const current = new Map<string, Ip>();
  // Of an earlier agent's routes only the destinations are known; those that are still wanted are set again.
  const stale = new Set(readRoutes(at.file));
  return {
    update: (nodes) => {
      const wanted = wantedRoutes(nodes, at.nodeName);
      const unwanted = [...current.keys(), ...stale].filter((cidr) => !wanted.has(cidr));
      const changed = [...wanted].filter(([cidr, ip]) => current.get(cidr) !== ip);
      for (const cidr of unwanted) {
        routes.deleteRoute({ destination: parseCidr(cidr) });
        current.delete(cidr);
      }
      for (const [cidr, gateway] of changed) {
        try {
          routes.replaceRoute({ destination: parseCidr(cidr), gateway });
          current.set(cidr, gateway);
        } catch (error) {
          at.log.warn({ reason: reasonOf(error), cidr, gateway }, 'no route to the Pods of a node');
        }
      }
      stale.clear();
      if (unwanted.length + changed.length > 0) writeRoutes(at.file, [...current.keys()]);
    },
  };
}

function readRoutes(file: string): string[] {
  try {
    const content: unknown = JSON.parse(readFileSync(file, 'utf8'));
    return Array.isArray(content) ? content.filter((cidr) => typeof cidr === 'string') : [];
  } catch {
    return [];
  }
}

function writeRoutes(file: string, cidrs: readonly string[]): void {
  replaceFile(file, JSON.stringify(cidrs));
}
