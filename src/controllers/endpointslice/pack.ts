import { isDeepStrictEqual } from 'node:util';
import type { Endpoint, EndpointSlice, ObjectMeta } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { deletion, type Write } from '../write.ts';
import type { EndpointGroup } from './desired.ts';

/** The endpoints one slice takes at most: it stays small enough to be sent to every node with each change (KEP-0752). */
export const maxEndpointsPerSlice = 100;

/** What slices there are, and what endpoints they are to hold. */
export interface PackInput {
  /** Those that the same controller made for the same Service. */
  readonly existing: readonly Stored<EndpointSlice>[];
  readonly groups: readonly EndpointGroup[];
  /** Labels and owner of every slice, and how new ones are named. */
  readonly metadata: Pick<ObjectMeta, 'generateName' | 'namespace' | 'labels' | 'ownerReferences'>;
  /** Annotations of the slices that are written; those of the others are let be. */
  readonly annotations: { readonly [key: string]: string };
}

/** A slice being filled. */
interface Draft {
  readonly group: EndpointGroup;
  readonly slice: Stored<EndpointSlice> | undefined;
  readonly endpoints: Endpoint[];
  changed: boolean;
}

/**
 * The writes that bring the slices to the groups' endpoints, as few as possible, and none where nothing changed: every
 * write goes to every node. An endpoint stays in its slice. New ones go where a write is due anyway, then into a slice
 * with room for all of them, then into new slices; slices of a group that is gone are taken for those.
 */
export function packSlices(input: PackInput): Write[] {
  const drafts = input.groups.flatMap((group) => fillGroup(group, input));
  const kept = new Set(drafts.map(({ slice }) => slice));
  const spare = input.existing.filter((slice) => !kept.has(slice));
  const writes: Write[] = [];
  for (const draft of drafts) {
    if (!draft.changed) continue;
    const at = spare.findIndex(({ addressType }) => addressType === draft.group.addressType);
    const slice = draft.slice ?? (at === -1 ? undefined : spare.splice(at, 1)[0]);
    writes.push(draftWrite({ ...draft, slice }, input));
  }
  return [...writes, ...spare.map((slice) => deletion('endpointSlices', slice))];
}

function fillGroup(group: EndpointGroup, { existing, metadata }: PackInput): Draft[] {
  const pending = new Map(group.endpoints.map((endpoint) => [endpointKey(endpoint), endpoint]));
  const mine = existing
    .filter(
      ({ addressType, ports }) => addressType === group.addressType && isDeepStrictEqual(ports ?? [], group.ports),
    )
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  let drafts = mine.map((slice) => keepEndpoints(group, slice, pending));
  for (const draft of drafts) if (!hasMetadata(draft.slice, metadata)) draft.changed = true;
  const rest = [...pending.values()];
  if (rest.length > 0) drafts = [...drafts, ...place(rest, drafts, group)];
  // A Service without endpoints keeps one slice that says so.
  if (group.endpoints.length === 0) return drafts[0] === undefined ? [newDraft(group, [])] : [drafts[0]];
  return drafts.filter(({ endpoints }) => endpoints.length > 0);
}

/** What of a slice's endpoints is still wanted, as it is to be now; takes it from `pending`. */
function keepEndpoints(group: EndpointGroup, slice: Stored<EndpointSlice>, pending: Map<string, Endpoint>): Draft {
  const endpoints: Endpoint[] = [];
  let changed = false;
  for (const endpoint of slice.endpoints ?? []) {
    const key = endpointKey(endpoint);
    const wanted = pending.get(key);
    pending.delete(key);
    if (wanted !== undefined) endpoints.push(wanted);
    if (!isDeepStrictEqual(wanted, endpoint)) changed = true;
  }
  return { group, slice, endpoints, changed };
}

/** Puts endpoints into drafts with room; returns the drafts that had to be added. */
function place(rest: Endpoint[], drafts: readonly Draft[], group: EndpointGroup): Draft[] {
  const room = ({ endpoints }: Draft) => maxEndpointsPerSlice - endpoints.length;
  const due = drafts.filter(({ changed }) => changed).sort((a, b) => room(a) - room(b));
  for (const draft of due) draft.endpoints.push(...rest.splice(0, room(draft)));
  if (rest.length === 0) return [];
  const overfull = rest.length % maxEndpointsPerSlice;
  const fitting = drafts
    .filter((draft) => !draft.changed && draft.endpoints.length > 0 && room(draft) >= overfull)
    .sort((a, b) => room(a) - room(b))[0];
  if (overfull > 0 && fitting !== undefined) {
    fitting.endpoints.push(...rest.splice(0, overfull));
    fitting.changed = true;
  }
  const added: Draft[] = [];
  while (rest.length > 0) added.push(newDraft(group, rest.splice(0, maxEndpointsPerSlice)));
  return added;
}

function newDraft(group: EndpointGroup, endpoints: Endpoint[]): Draft {
  return { group, slice: undefined, endpoints, changed: true };
}

/** Endpoints are the same when they are the same Pod at the same address under the same name. */
function endpointKey({ addresses, targetRef, hostname }: Endpoint): string {
  return `${addresses[0]} ${targetRef?.uid ?? ''} ${hostname ?? ''}`;
}

function hasMetadata(
  slice: Stored<EndpointSlice> | undefined,
  { labels, ownerReferences }: PackInput['metadata'],
): boolean {
  return isDeepStrictEqual([slice?.metadata.labels, slice?.metadata.ownerReferences], [labels, ownerReferences]);
}

function draftWrite({ group, slice, endpoints }: Draft, { metadata, annotations }: PackInput): Write {
  const { addressType, ports } = group;
  const content = {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    addressType,
    endpoints,
    ports: [...ports],
  };
  const { generateName, ...rest } = metadata;
  if (slice !== undefined) {
    const next = { ...content, metadata: { ...slice.metadata, ...rest, annotations: { ...annotations } } };
    return { verb: 'update', resource: 'endpointSlices', object: next };
  }
  return {
    verb: 'create',
    resource: 'endpointSlices',
    object: { ...content, metadata: { ...metadata, annotations: { ...annotations } } },
  };
}
