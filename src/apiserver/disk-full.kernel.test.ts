import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startTestServer, type TestClientConfig } from './test-server.ts';

const maps = '/api/v1/namespaces/default/configmaps';

test('startApiServer on a full disk answers writes with a Status and reads as ever, and writes when there is room', async () => {
  const disk = mkdtempSync(join(tmpdir(), 'signalbox-disk-full-'));
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', disk]);
  const ballast = join(disk, 'ballast');
  writeFileSync(ballast, Buffer.alloc(2_000_000));
  const server = await startTestServer({ store: { lmdb: { dir: join(disk, 'data') } } });
  const client = clientOf(server.admin);
  try {
    const data = { text: 'x'.repeat(60_000) };
    const create = (name: string) =>
      client.send('POST', maps, { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });
    let full: Answer | undefined;
    let written = 0;
    for (; full === undefined && written < 400; written++) {
      const answer = await create(`map-${written}`);
      if (answer.code !== 201) full = answer;
    }
    const kind = { kind: 'Status', apiVersion: 'v1', status: 'Failure', reason: 'InsufficientStorage', code: 507 };
    expect(full).toMatchObject({ code: 507, body: { ...kind, message: expect.stringContaining('[STORE_FULL]') } });
    const { items } = (await client.send('GET', maps)).body as { items: { metadata: { name: string } }[] };
    expect(items.map(({ metadata }) => metadata.name)).toEqual(
      Array.from({ length: written - 1 }, (_, n) => `map-${n}`).toSorted(),
    );
    expect((await client.send('GET', '/livez')).code).toBe(200);
    rmSync(ballast);
    expect((await create('map-again')).code).toBe(201);
    expect((await client.send('DELETE', `${maps}/map-0`)).code).toBe(200);
  } finally {
    client.close();
    await server.close();
    execFileSync('umount', ['-l', disk]);
    rmdirSync(disk);
  }
});

interface Answer {
  readonly code: number | undefined;
  readonly body: unknown;
}

function clientOf({ server, certificateAuthority: ca, clientCertificate: cert, clientKey: key }: TestClientConfig) {
  const agent = new Agent({ keepAlive: true, ca, cert, key });
  return {
    close: () => agent.destroy(),
    send: (method: string, path: string, body?: unknown): Promise<Answer> =>
      new Promise((resolve, reject) => {
        const text = body === undefined ? '' : JSON.stringify(body);
        const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
        const sent = request(new URL(path, server), { agent, method, headers }, async (answer) => {
          let read = '';
          for await (const chunk of answer.setEncoding('utf8')) read += chunk;
          resolve({ code: answer.statusCode, body: read.startsWith('{') ? JSON.parse(read) : read });
        });
        sent.on('error', reject).end(text);
      }),
  };
}
