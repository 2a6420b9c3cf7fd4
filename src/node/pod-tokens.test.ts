import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { Pod, TokenRequest } from '../api/generated/types.ts';
import type { RawRequest } from '../client/types.ts';
import { createLogger } from '../component/log.ts';
import { MemoryApi } from './memory-api.ts';
import { keepTokensFresh, requestTokens } from './pod-tokens.ts';
import { prepareVolumes } from './volumes.ts';

/** Issues numbered tokens that live as long as told. */
class TokenApi extends MemoryApi {
  readonly requests: RawRequest[] = [];
  failures = 0;
  readonly #lifeMs: number;

  constructor(lifeMs: number) {
    super();
    this.#lifeMs = lifeMs;
  }

  override async raw(request?: RawRequest): Promise<never> {
    if (request === undefined) throw new Error('no request');
    if (this.failures-- > 0) throw new Error('not now');
    this.requests.push(request);
    const expirationTimestamp = new Date(Date.now() + this.#lifeMs).toISOString();
    return { status: { token: `token ${this.requests.length}`, expirationTimestamp } } as never;
  }
}

const pod: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u' },
  spec: {
    serviceAccountName: 'robot',
    containers: [],
    volumes: [
      { name: 'api', projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 3607 } }] } },
      {
        name: 'vault',
        projected: {
          defaultMode: 0o400,
          sources: [{ serviceAccountToken: { path: 'a/b', audience: 'vault', expirationSeconds: 600 } }],
        },
      },
      { name: 'again', projected: { sources: [{ serviceAccountToken: { path: 't', expirationSeconds: 3607 } }] } },
    ],
  },
};

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-tokens-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe('requestTokens', () => {
  it('requestTokens asks once for what is the same, bound to the Pod', async () => {
    const api = new TokenApi(3_600_000);
    const { tokens, renewAt } = await requestTokens(pod, api);
    expect(tokens.size).toBe(2);
    expect(api.requests.map(({ path }) => path)).toEqual(
      Array(2).fill('/api/v1/namespaces/ns/serviceaccounts/robot/token'),
    );
    const specs = api.requests.map(({ body }) => (body as TokenRequest).spec);
    const boundObjectRef = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u' };
    expect(specs).toEqual([
      { audiences: [], expirationSeconds: 3607, boundObjectRef },
      { audiences: ['vault'], expirationSeconds: 600, boundObjectRef },
    ]);
    expect((renewAt - Date.now()) / 3_600_000).toBeCloseTo(0.8, 2);
  });
});

describe('keepTokensFresh', () => {
  it('keepTokensFresh replaces the files when four fifths of the time are over, however often it takes', async () => {
    const api = new TokenApi(500);
    const startedAt = Date.now();
    const first = await requestTokens(pod, api);
    const configuration = { configMaps: new Map(), secrets: new Map() };
    const { tokens } = first;
    prepareVolumes(folder, { pod, podIps: [], hostIps: [], allocatable: {}, configuration, tokens });
    const read = (path: string) => readFileSync(join(folder, path), 'utf8');
    expect([read('api/token'), read('vault/a/b'), read('again/t')]).toEqual(['token 1', 'token 2', 'token 1']);
    api.failures = 1;
    const stop = new AbortController();
    const log = createLogger('test');
    log.level = 'silent';
    const keeping = keepTokensFresh(pod, first, { client: api, log, volumeFolder: folder, signal: stop.signal });
    await vi.waitFor(() => expect(read('api/token')).not.toBe('token 1'), { timeout: 20_000, interval: 10 });
    expect(Date.now() - startedAt).toBeGreaterThan(300);
    expect(read('again/t')).toBe(read('api/token'));
    expect(read('vault/a/b')).not.toBe('token 2');
    stop.abort();
    await keeping;
    const { length } = api.requests;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(api.requests).toHaveLength(length);
  });
});
