import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { parseFieldSelector } from '../../api/field-selector.ts';
import { parseLabelSelector } from '../../api/label-selector.ts';

interface StoredObject {
  readonly metadata: {
    readonly namespace?: string;
    readonly name: string;
    readonly resourceVersion: string;
    readonly labels?: { readonly [name: string]: string };
  };
  readonly status?: { readonly phase?: string };
}

interface Watcher {
  readonly plural: string;
  readonly chooses: (object: StoredObject) => boolean;
}

/**
 * For tests: as much of an API server as someone who follows a few resources needs: list and watch, over HTTP, of what
 * selectors choose. It can go away and come back.
 */
export class SmallApi {
  readonly #objects = new Map<string, Map<string, StoredObject>>();
  readonly #watchers = new Map<ServerResponse, Watcher>();
  readonly #held: (() => void)[] = [];
  #server: Server | undefined;
  #port = 0;
  #version = 1;
  #isHeld = false;

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  async start(): Promise<void> {
    this.#server = createServer((request, response) => {
      const url = new URL(request.url ?? '', this.url);
      const answer = () => this.#answer(url, response);
      if (this.#isHeld) this.#held.push(answer);
      else answer();
    });
    this.#server.listen(this.#port, '127.0.0.1');
    await once(this.#server, 'listening');
    this.#port = (this.#server.address() as { port: number }).port;
  }

  async stop(): Promise<void> {
    const server = this.#server;
    if (server === undefined) return;
    const closed = once(server, 'close');
    server.close();
    server.closeAllConnections();
    this.#watchers.clear();
    await closed;
  }

  /** Answers nobody until `go`. */
  hold(): void {
    this.#isHeld = true;
  }

  go(): void {
    this.#isHeld = false;
    for (const answer of this.#held.splice(0)) answer();
  }

  /** Puts an object at `namespace/name` or `name` of a collection (its plural), and tells who watches. */
  put(plural: string, key: string, object: object): void {
    const [name = '', namespace] = key.split('/').reverse();
    const given = (object as { readonly metadata?: object }).metadata;
    const metadata = { ...given, name, uid: key, resourceVersion: String(++this.#version) };
    const stored = { ...object, metadata: namespace === undefined ? metadata : { ...metadata, namespace } };
    const collection = this.#collection(plural);
    this.#tell(plural, collection.has(key) ? 'MODIFIED' : 'ADDED', stored);
    collection.set(key, stored);
  }

  delete(plural: string, key: string): void {
    const object = this.#collection(plural).get(key);
    if (object === undefined) return;
    this.#collection(plural).delete(key);
    const metadata = { ...object.metadata, resourceVersion: String(++this.#version) };
    this.#tell(plural, 'DELETED', { ...object, metadata });
  }

  #collection(plural: string): Map<string, StoredObject> {
    const collection = this.#objects.get(plural) ?? new Map();
    this.#objects.set(plural, collection);
    return collection;
  }

  #tell(plural: string, type: string, object: StoredObject): void {
    for (const [response, watcher] of this.#watchers) {
      if (watcher.plural !== plural) continue;
      // What is no longer chosen is gone, for this watcher.
      response.write(`${JSON.stringify({ type: watcher.chooses(object) ? type : 'DELETED', object })}\n`);
    }
  }

  #answer(url: URL, response: ServerResponse): void {
    const plural = url.pathname.split('/').at(-1) ?? '';
    const collection = this.#collection(plural);
    const chooses = selection(url.searchParams);
    response.writeHead(200, { 'content-type': 'application/json' });
    if (url.searchParams.get('watch') === null) {
      response.end(
        JSON.stringify({
          metadata: { resourceVersion: String(this.#version) },
          items: [...collection.values()].filter(chooses),
        }),
      );
      return;
    }
    response.flushHeaders();
    const since = Number(url.searchParams.get('resourceVersion'));
    this.#watchers.set(response, { plural, chooses });
    response.on('close', () => this.#watchers.delete(response));
    for (const object of collection.values())
      if (Number(object.metadata.resourceVersion) > since && chooses(object))
        response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
  }
}

/** What the selectors of a request choose; of fields, a Pod's phase. */
function selection(parameters: URLSearchParams): (object: StoredObject) => boolean {
  const matches = parseLabelSelector(parameters.get('labelSelector') ?? '');
  const conditions = parseFieldSelector(parameters.get('fieldSelector') ?? '');
  return ({ metadata, status }) =>
    matches(metadata.labels) && conditions.every(({ equal, value }) => (status?.phase === value) === equal);
}
