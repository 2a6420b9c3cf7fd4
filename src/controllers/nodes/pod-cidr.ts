import type { Node } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { SignalboxError } from '../../errors/error.ts';
import { bits, type Cidr, cidrSize, formatCidr, parseCidr } from '../../net/cidr.ts';
import { ipFromBigInt, ipToBigInt } from '../../net/ip.ts';
import type { Write } from '../write.ts';

/** A block of Pod addresses and how it is divided among nodes. */
export interface PodNetwork {
  readonly cidr: Cidr;
  /** Prefix length of each node's part. */
  readonly nodePrefix: number;
}

/**
 * The parts of the Pod networks that a node gets, one of each. Where it is free, the part with the number that ends the node's
 * name, so that addresses can be read: `node-2` gets 10.244.2.0/24. Else the first free one, from 1 upwards.
 * @throws SignalboxError `ADDRESS_OUT_OF_RANGE` when a network is used up
 */
export function allocatePodCidrs(name: string, networks: readonly PodNetwork[], taken: ReadonlySet<string>): string[] {
  return networks.map((network) => {
    const count = cidrSize(network.cidr) >> BigInt(bits(network.cidr.family) - network.nodePrefix);
    const wanted = BigInt(/\d{1,9}$/.exec(name)?.[0] ?? '1');
    const isFree = (index: bigint) => index < count && !taken.has(part(network, index));
    if (isFree(wanted)) return part(network, wanted);
    for (let index = 1n; index <= count; index++) if (isFree(index % count)) return part(network, index % count);
    throw new SignalboxError('ADDRESS_OUT_OF_RANGE', {
      object: `Pod network ${formatCidr(network.cidr)}`,
      problem: `has no /${network.nodePrefix} left for node ${name}`,
      remedy: 'use a larger Pod network or smaller parts, or delete nodes that are gone',
    });
  });
}

function part({ cidr, nodePrefix }: PodNetwork, index: bigint): string {
  const start = ipToBigInt(cidr.base) + (index << BigInt(bits(cidr.family) - nodePrefix));
  return `${ipFromBigInt(start, cidr.family)}/${nodePrefix}`;
}

/** The parts that nodes have. */
export function takenPodCidrs(nodes: Iterable<Stored<Node>>): Set<string> {
  const all = [...nodes].flatMap(({ spec }) => spec?.podCIDRs ?? (spec?.podCIDR ? [spec.podCIDR] : []));
  return new Set(all.map((cidr) => formatCidr(parseCidr(cidr))));
}

/** Gives a node its parts; fails if the node has changed since. */
export function podCidrWrite({ metadata }: Stored<Node>, podCIDRs: readonly string[]): Write {
  const { name, uid, resourceVersion } = metadata;
  const body = { metadata: { uid, resourceVersion }, spec: { podCIDR: podCIDRs[0], podCIDRs } };
  return { verb: 'patch', resource: 'nodes', place: { name }, patch: { type: 'merge', body } };
}
