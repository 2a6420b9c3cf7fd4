import { listObjects, readRevision } from './list.ts';
import { checkWatchOptions, readWatchTimeout, startsWithState } from './list-options.ts';
import { negotiate } from './negotiation.ts';
import { isTrue } from './request-info.ts';
import { type ApiAnswer, formattedAnswer, streamed } from './requests.ts';
import { type Call, type NamedCall, show } from './resource-call.ts';
import { readSelection } from './selection.ts';
import { openStream } from './stream-answer.ts';
import { viewOf } from './views.ts';
import { WatchStream } from './watch-stream.ts';

/** What is there now; a client that has seen a newer state elsewhere waits until it is known here. */
export async function get(call: NamedCall): Promise<ApiAnswer> {
  const revision = readRevision(call.request.query.get('resourceVersion'));
  if (revision !== undefined) await call.environment.cache.waitUntil(revision);
  return show(call, 200, await call.registry.get(call.place));
}

/** A page of a collection. */
export async function list({ request, info, registry, environment }: Call): Promise<ApiAnswer | typeof streamed> {
  const { query } = request;
  const format = negotiate(request.headers.accept);
  const view = viewOf(format, { resource: info.resource, strategy: registry.strategy }, query);
  const page = await listObjects(registry, environment.cache, {
    namespace: info.namespace,
    matches: readSelection(query, info.resource, registry.strategy),
    isSelective: Boolean(query.get('labelSelector') || query.get('fieldSelector')),
    query,
  });
  return formattedAnswer(200, view.list(page.items, page.metadata), format.type);
}

/** A stream of changes, until its time is over or the client goes. */
export async function watch(
  { request, info, registry, environment }: Call,
  query: URLSearchParams,
): Promise<typeof streamed> {
  const revision = readRevision(query.get('resourceVersion'));
  checkWatchOptions(query);
  const bookmarks = isTrue(query.get('allowWatchBookmarks'));
  const { cache } = environment;
  const format = negotiate(request.headers.accept);
  const view = viewOf(format, { resource: info.resource, strategy: registry.strategy }, query);
  const matches = readSelection(query, info.resource, registry.strategy);
  const timeoutMs = readWatchTimeout(query.get('timeoutSeconds'));
  if (revision === undefined) await cache.waitUntilFresh();
  else await cache.waitUntil(revision);
  const after = startsWithState(query, revision) ? undefined : (revision ?? cache.revision);
  const answer = await openStream(request, { type: 'application/json', messages: 'text' });
  if (answer === streamed) return streamed;
  await new WatchStream(
    answer,
    { all: cache, resource: registry.cache },
    {
      view,
      namespace: info.namespace,
      matches,
      after,
      bookmarks,
      marksInitialEnd: bookmarks && isTrue(query.get('sendInitialEvents')),
      timeoutMs,
    },
  ).run();
  return streamed;
}
