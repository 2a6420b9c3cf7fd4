import type { Ip } from '../../net/ip.ts';
import { printEntry, printEntryKey } from '../ipset/print.ts';
import type { SetDeclaration, SetEntry } from '../ipset/syntax.ts';
import { printVirtualAddress } from './print.ts';
import { type RealServer, realServerKey, sameOptions, type VirtualServer } from './syntax.ts';

/** One thing that is to be in the kernel. */
export type Resource =
  | { readonly kind: 'virtual-server'; readonly server: VirtualServer }
  | { readonly kind: 'entry'; readonly set: SetDeclaration; readonly entry: SetEntry }
  /** An address on the dummy device. */
  | { readonly kind: 'address'; readonly ip: Ip };

/** What tells a resource from all others: of two with the same key, the kernel has one. */
export function resourceKey(resource: Resource): string {
  switch (resource.kind) {
    case 'virtual-server':
      return printVirtualAddress(resource.server.address);
    case 'entry':
      return `${resource.set.name} ${printEntryKey(resource.entry)}`;
    case 'address':
      return resource.ip;
  }
}

/** Whether two resources of the same key are the same in all. */
export function sameResource(left: Resource | undefined, right: Resource | undefined): boolean {
  if (left === right) return true;
  if (left?.kind === 'virtual-server' && right?.kind === 'virtual-server')
    return sameOptions(left.server, right.server) && sameRealServers(left.server.realServers, right.server.realServers);
  if (left?.kind === 'entry' && right?.kind === 'entry') return printEntry(left.entry) === printEntry(right.entry);
  return left?.kind === 'address' && right?.kind === 'address';
}

function sameRealServers(left: readonly RealServer[], right: readonly RealServer[]): boolean {
  if (left.length !== right.length) return false;
  const known = new Map(left.map((server) => [realServerKey(server), server]));
  return right.every((server) => {
    const other = known.get(realServerKey(server));
    return other?.weight === server.weight && other.forwarding === server.forwarding;
  });
}

/**
 * What all owners together want to be in the kernel. Several can want the same: the first of them counts until it lets
 * go. A change costs as much as its owner is large, however many owners there are.
 */
export class ResourceStore {
  readonly #owners = new Map<string, ReadonlyMap<string, Resource>>();
  /** Who wants a resource, the one that counts first; a bare name where there is one, as nearly everywhere. */
  readonly #lines = new Map<string, string | readonly string[]>();

  /** Sets, changes or (with none) removes what an owner wants; gives the keys that may be different thereby. */
  replace(owner: string, resources: readonly Resource[]): Set<string> {
    const before = this.#owners.get(owner) ?? new Map<string, Resource>();
    const after = new Map(resources.map((resource) => [resourceKey(resource), resource]));
    const changed = new Set<string>();
    for (const [key, resource] of after) {
      const old = before.get(key);
      if (old === undefined) this.#enter(key, owner);
      if (!sameResource(old, resource)) changed.add(key);
    }
    for (const key of before.keys()) {
      if (after.has(key)) continue;
      this.#leave(key, owner);
      changed.add(key);
    }
    if (after.size === 0) this.#owners.delete(owner);
    else this.#owners.set(owner, after);
    return changed;
  }

  /** What is to be in the kernel under a key, if anything. */
  get(key: string): Resource | undefined {
    const [owner] = this.ownersOf(key);
    return owner === undefined ? undefined : this.#owners.get(owner)?.get(key);
  }

  /** Who wants what is under a key, the one that counts first. */
  ownersOf(key: string): readonly string[] {
    const line = this.#lines.get(key);
    if (line === undefined) return [];
    return typeof line === 'string' ? [line] : line;
  }

  /** Whether anything of an owner is known. */
  has(owner: string): boolean {
    return this.#owners.has(owner);
  }

  /** What an owner wants. */
  resourcesOf(owner: string): readonly Resource[] {
    return [...(this.#owners.get(owner)?.values() ?? [])];
  }

  /** The keys of all that is to be in the kernel. */
  keys(): IterableIterator<string> {
    return this.#lines.keys();
  }

  #enter(key: string, owner: string): void {
    const line = this.#lines.get(key);
    this.#lines.set(key, line === undefined ? owner : typeof line === 'string' ? [line, owner] : [...line, owner]);
  }

  #leave(key: string, owner: string): void {
    const [first, ...others] = this.ownersOf(key).filter((name) => name !== owner);
    if (first === undefined) this.#lines.delete(key);
    else this.#lines.set(key, others.length === 0 ? first : [first, ...others]);
  }
}
