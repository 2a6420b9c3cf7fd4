import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import type { CoreEvent, EndpointSlice, Service } from '../../api/generated/types.ts';
import { writeKubeconfig } from '../../client/kubeconfig.ts';

interface ApiObject {
  readonly metadata: { readonly name: string; readonly namespace?: string; resourceVersion?: string; uid?: string };
}

/** As much of an API server as a proxy asks for: list, watch, and events it writes. */
export class SmallApi {
  readonly asked = new Set<string>();
  readonly posted: CoreEvent[] = [];
  readonly #objects = new Map<string, Map<string, ApiObject>>();
  readonly #events: { readonly plural: string; readonly revision: number; readonly line: string }[] = [];
  readonly #watchers = new Map<string, Set<ServerResponse>>();
  #revision = 1;
  #port = 0;
  readonly #server = createServer((request, response) => {
    const url = new URL(request.url ?? '', 'http://api');
    const plural = url.pathname.split('/').at(-1) ?? '';
    if (request.method === 'POST') {
      void json(request).then((object) => {
        this.posted.push(object as CoreEvent);
        response.setHeader('content-type', 'application/json').end(JSON.stringify(object));
      });
      return;
    }
    this.asked.add(`${plural} ${url.searchParams.get('labelSelector') ?? url.searchParams.get('fieldSelector')}`);
    response.setHeader('content-type', 'application/json');
    if (url.searchParams.has('watch')) {
      const from = Number(url.searchParams.get('resourceVersion'));
      this.#watchersOf(plural).add(response);
      response.flushHeaders();
      for (const e of this.#events) if (e.plural === plural && e.revision > from) response.write(e.line);
    } else {
      const items = [...this.#objectsOf(plural).values()];
      response.end(JSON.stringify({ items, metadata: { resourceVersion: `${this.#revision}` } }));
    }
  });

  /** Listens, on the port it had before if it was away. */
  async listen(): Promise<string> {
    await once(this.#server.listen(this.#port, '127.0.0.1'), 'listening');
    this.#port = (this.#server.address() as AddressInfo).port;
    return `http://127.0.0.1:${this.#port}`;
  }

  /** A kubeconfig that leads here. */
  async kubeconfig(path: string): Promise<void> {
    const empty = { certificateAuthority: '', clientCertificate: '', clientKey: '' };
    await writeKubeconfig(path, { name: 'test', server: await this.listen(), ...empty });
  }

  put(plural: string, object: object): void {
    const stored = structuredClone(object) as ApiObject;
    const { name } = stored.metadata;
    Object.assign(stored.metadata, { resourceVersion: `${++this.#revision}`, uid: name });
    const type = this.#objectsOf(plural).has(name) ? 'MODIFIED' : 'ADDED';
    this.#objectsOf(plural).set(name, stored);
    this.#tell(plural, { type, object: stored });
  }

  remove(plural: string, name: string): void {
    const object = this.#objectsOf(plural).get(name);
    if (object === undefined) return;
    object.metadata.resourceVersion = `${++this.#revision}`;
    this.#objectsOf(plural).delete(name);
    this.#tell(plural, { type: 'DELETED', object });
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #tell(plural: string, event: object): void {
    const line = `${JSON.stringify(event)}\n`;
    this.#events.push({ plural, revision: this.#revision, line });
    for (const watcher of this.#watchersOf(plural)) watcher.write(line);
  }

  #objectsOf(plural: string): Map<string, ApiObject> {
    return getOrSet(this.#objects, plural, () => new Map());
  }

  #watchersOf(plural: string): Set<ServerResponse> {
    return getOrSet(this.#watchers, plural, () => new Set());
  }
}

function getOrSet<T>(map: Map<string, T>, key: string, make: () => T): T {
  const value = map.get(key) ?? make();
  map.set(key, value);
  return value;
}

/** A Service with one port. */
export function service(name: string, ip: string, port: { port: number; protocol?: string }): Service {
  return { metadata: { namespace: 'default', name }, spec: { clusterIPs: [ip], ports: [port] } };
}

/** The slice of a Service, with one ready endpoint. */
export function slice(name: string, ip: string, port: { port: number; protocol?: string }): EndpointSlice {
  return {
    metadata: { namespace: 'default', name: `${name}-x`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [port],
    endpoints: [{ addresses: [ip], conditions: { ready: true } }],
  };
}
