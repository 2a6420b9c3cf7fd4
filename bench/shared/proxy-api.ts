import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EndpointSlice } from '../../src/api/generated/types.ts';
import { writeKubeconfig } from '../../src/client/kubeconfig.ts';
import { openRoutes } from '../../src/kernel/links.ts';
import { endpointSlice, type Size, service, slicesPerService } from './services.ts';

/** As much of a Kubernetes API as a proxy asks: lists of a generated cluster, and watches that can be told of changes. */
export class ProxyApi {
  /** For the kubeconfig and whatever else the measurement has. */
  readonly folder = mkdtempSync(join(tmpdir(), 'signalbox-bench-'));
  readonly kubeconfig = join(this.folder, 'kubeconfig');
  readonly #size: Size;
  readonly #watchers = new Set<ServerResponse>();
  readonly #server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://api');
    const plural = pathname.split('/').at(-1) ?? '';
    response.setHeader('content-type', 'application/json');
    if (!searchParams.has('watch')) {
      response.end(listPage(plural, this.#size, searchParams));
      return;
    }
    response.flushHeaders();
    if (plural !== 'endpointslices') return;
    this.#watchers.add(response);
    response.once('close', () => this.#watchers.delete(response));
  });
  #resourceVersion: number;

  constructor(size: Size) {
    this.#size = size;
    this.#resourceVersion = size.services * slicesPerService(size) + 1;
  }

  /** Begins to answer, by the loopback device of a network namespace that may be fresh. */
  async open(): Promise<void> {
    const routes = openRoutes();
    routes.setLink('lo', { up: true });
    routes.close();
    await once(this.#server.listen(0, '127.0.0.1'), 'listening');
    await writeKubeconfig(this.kubeconfig, {
      name: 'bench',
      server: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      certificateAuthority: '',
      clientCertificate: '',
      clientKey: '',
    });
  }

  /** Tells all watchers of a slice's new state. */
  modify(slice: EndpointSlice): void {
    const metadata = { ...slice.metadata, resourceVersion: String(++this.#resourceVersion) };
    const line = `${JSON.stringify({ type: 'MODIFIED', object: { ...slice, metadata } })}\n`;
    for (const watcher of this.#watchers) watcher.write(line);
  }

  close(): void {
    this.#server.close();
    this.#server.closeAllConnections();
    rmSync(this.folder, { recursive: true });
  }
}

/** As much of a list as was asked for, and where to go on. */
function listPage(plural: string, size: Size, asked: URLSearchParams): string {
  const { services, endpoints } = size;
  const slices = slicesPerService(size);
  const lists = {
    services: { count: services, item: service },
    endpointslices: {
      count: services * slices,
      item: (i: number) => endpointSlice(Math.floor(i / slices), 0, { endpoints, slice: i % slices }),
    },
  };
  const { count, item } = lists[plural as keyof typeof lists] ?? { count: 0, item: service };
  const from = Number(asked.get('continue') ?? 0);
  const to = Math.min(count, from + Number(asked.get('limit') ?? count));
  const items = Array.from({ length: to - from }, (_, i) => item(from + i));
  const more = to < count ? { continue: String(to) } : {};
  return JSON.stringify({ metadata: { resourceVersion: `${services * slices + 1}`, ...more }, items });
}
