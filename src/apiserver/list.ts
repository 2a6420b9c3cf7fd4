import { decodeContinue, encodeContinue, expiredContinue } from './continue-token.ts';
import { checkListOptions } from './list-options.ts';
import type { Registry } from './registry.ts';
import { badRequest, expired } from './status.ts';
import type { StoredObject } from './stored-object.ts';
import type { WatchCache } from './watch-cache.ts';

/** One page of a list. */
export interface ListPage {
  readonly items: readonly StoredObject[];
  /** As the list's metadata has it. */
  readonly metadata: {
    readonly resourceVersion: string;
    readonly continue?: string;
    readonly remainingItemCount?: number;
  };
}

export interface ListRequest {
  readonly namespace: string | undefined;
  readonly matches: (object: StoredObject) => boolean;
  readonly isSelective: boolean;
  readonly query: URLSearchParams;
}

/** Reads a revision parameter: absent and empty are the same. @throws StatusError 400 */
export function readRevision(text: string | null, name = 'resourceVersion'): number | undefined {
  if (text === null || text === '') return undefined;
  if (!/^\d{1,15}$/.test(text))
    throw badRequest(
      `${name}: Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`,
    );
  return Number(text);
}

/**
 * Lists as Kubernetes does: without a revision what is there now, with one at least as new, with `Exact` or a continue
 * token as it stood then.
 * @throws StatusError 400, 422, 410 when that is no longer known, 504 when it lies in the future
 */
export async function listObjects(registry: Registry, all: WatchCache, request: ListRequest): Promise<ListPage> {
  const { query, namespace, matches, isSelective } = request;
  checkListOptions(query);
  const limit = readLimit(query.get('limit'));
  const revision = readRevision(query.get('resourceVersion'));
  const token = query.get('continue') ?? '';
  if (token !== '') {
    if (revision !== undefined && revision !== 0)
      throw badRequest('specifying resource version is not allowed when using continue');
    return continueList(registry, all, { ...request, limit, token });
  }
  if (revision === undefined) await all.waitUntilFresh();
  else await all.waitUntil(revision);
  const at = query.get('resourceVersionMatch') === 'Exact' && revision !== undefined ? revision : all.revision;
  const objects = at === all.revision ? registry.cache.list(namespace) : registry.cache.listAt(at, namespace);
  if (objects === undefined) throw expired(`The provided resource version ${at} is too old`);
  return page({ objects, at, limit, matches, isSelective });
}

async function continueList(
  registry: Registry,
  all: WatchCache,
  { token, limit, namespace, matches, isSelective }: ListRequest & { limit: number; token: string },
): Promise<ListPage> {
  const { revision, after } = decodeContinue(token);
  if (revision < 0) await all.waitUntilFresh();
  else await all.waitUntil(revision);
  const at = revision < 0 ? all.revision : revision;
  const objects = at === all.revision ? registry.cache.list(namespace) : registry.cache.listAt(at, namespace);
  if (objects === undefined) throw expiredContinue(after);
  return page({ objects: objects.slice(firstAfter(objects, after)), at, limit, matches, isSelective });
}

function page(from: {
  readonly objects: readonly StoredObject[];
  readonly at: number;
  readonly limit: number;
  readonly matches: (object: StoredObject) => boolean;
  readonly isSelective: boolean;
}): ListPage {
  const { objects, at, limit, matches, isSelective } = from;
  const items: StoredObject[] = [];
  let seen = 0;
  for (const object of objects) {
    if (limit > 0 && items.length >= limit) break;
    seen++;
    if (matches(object)) items.push(object);
  }
  const remaining = objects.length - seen;
  const last = items.at(-1);
  const resourceVersion = String(at);
  if (remaining === 0 || last === undefined) return { items, metadata: { resourceVersion } };
  const next = encodeContinue({ revision: at, after: last.key });
  // With a selector nobody knows how many of the rest would match.
  const count = isSelective ? {} : { remainingItemCount: remaining };
  return { items, metadata: { resourceVersion, continue: next, ...count } };
}

/** Place of the first object whose key comes after `key`. */
function firstAfter(objects: readonly StoredObject[], key: string): number {
  let low = 0;
  let high = objects.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((objects[middle]?.key ?? '') <= key) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** How many at most; 0 is no limit, as is what makes no sense. */
function readLimit(text: string | null): number {
  if (text === null || text === '') return 0;
  if (!/^-?\d{1,15}$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  return Math.max(0, Number(text));
}
