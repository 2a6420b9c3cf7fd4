import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';

interface StoredObject {
  readonly metadata: { readonly namespace?: string; readonly name: string; readonly resourceVersion: string };
}

/**
 * For tests: as much of an API server as someone who follows a few resources needs: list and watch, over HTTP. It can
 * go away and come back.
 */
export class SmallApi {
  readonly #objects = new Map<string, Map<string, StoredObject>>();
  readonly #watchers = new Map<ServerResponse, string>();
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
    for (const [response, watched] of this.#watchers)
      if (watched === plural) response.write(`${JSON.stringify({ type, object })}\n`);
  }

  #answer(url: URL, response: ServerResponse): void {
    const plural = url.pathname.split('/').at(-1) ?? '';
    const collection = this.#collection(plural);
    response.writeHead(200, { 'content-type': 'application/json' });
    if (url.searchParams.get('watch') === null) {
      response.end(
        JSON.stringify({ metadata: { resourceVersion: String(this.#version) }, items: [...collection.values()] }),
      );
      return;
    }
    response.flushHeaders();
    const since = Number(url.searchParams.get('resourceVersion'));
    this.#watchers.set(response, plural);
    response.on('close', () => this.#watchers.delete(response));
    for (const object of collection.values())
      if (Number(object.metadata.resourceVersion) > since)
        response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`);
  }
}
