import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeStore } from '../store-conformance.ts';
import { openEtcdStore } from './etcd-store.ts';
import { startEtcd, type TestEtcd } from './start-etcd.ts';

let etcd: TestEtcd;
beforeAll(async () => {
  etcd = await startEtcd();
});
afterAll(() => etcd.remove());

describeStore('etcd', async () => {
  // Compaction is for all of an etcd: each test has its own history, but begins where the one before ended.
  const prefix = `/test/${randomUUID()}`;
  return { open: () => openEtcdStore({ endpoints: [etcd.endpoint], prefix }), remove: async () => {} };
});

const put = (key: string) => ({ type: 'put', key, value: Buffer.from('x') }) as const;

test('EtcdStore goes on, and its watches with it, when etcd was away', { timeout: 30_000 }, async () => {
  const own = await startEtcd();
  const dead = 'http://127.0.0.1:9';
  const store = await openEtcdStore({ endpoints: [dead, own.endpoint], prefix: '/x' });
  const seen: string[] = [];
  const onEvents = (events: readonly { key: string }[]) => seen.push(...events.map(({ key }) => key));
  store.watch('/', await store.revision(), { onEvents, onError: (error) => seen.push(error.message) });
  await store.transact([put('/before')]);
  await own.kill();
  await expect(store.transact([put('/during')])).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  await own.start();
  await expect
    .poll(() =>
      store.get('/before').then(
        (found) => found?.key,
        () => undefined,
      ),
    )
    .toBe('/before');
  await store.transact([put('/after')]);
  await expect.poll(() => seen).toEqual(['/before', '/after']);
  await store.close();
  await own.remove();
});

test('openEtcdStore says by code that nobody answers', async () => {
  await expect(openEtcdStore({ endpoints: ['http://127.0.0.1:9'], prefix: '/x' })).rejects.toMatchObject({
    code: 'STORE_UNAVAILABLE',
  });
});

test('EtcdStore tells a full etcd and an object too large for it apart, and reads on', {
  timeout: 30_000,
}, async () => {
  const own = await startEtcd({ flags: ['--quota-backend-bytes', String(4 * 1024 * 1024)] });
  const store = await openEtcdStore({ endpoints: [own.endpoint], prefix: '/x' });
  const large = { type: 'put', key: '/large', value: Buffer.alloc(3 * 1024 * 1024) } as const;
  await expect(store.transact([large])).rejects.toMatchObject({ code: 'STORE_TOO_LARGE' });
  const fill = async () => {
    for (let i = 0; i < 50; i++) await store.transact([{ ...large, key: `/${i}`, value: Buffer.alloc(1024 * 1024) }]);
  };
  await expect(fill()).rejects.toMatchObject({ code: 'STORE_FULL' });
  expect((await store.get('/0'))?.value).toHaveLength(1024 * 1024);
  await store.close();
  await own.remove();
});

test('EtcdStore shows its certificate to an etcd that wants one', { timeout: 30_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-etcd-tls-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: dir, stdio: 'ignore' });
  const name = ['-addext', 'subjectAltName=IP:127.0.0.1', '-subj', '/CN=etcd', '-days', '1'];
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    ...name,
    '-keyout',
    'k',
    '-out',
    'c',
  );
  const [key, cert] = [join(dir, 'k'), join(dir, 'c')];
  const flags = ['--cert-file', cert, '--key-file', key, '--trusted-ca-file', cert, '--client-cert-auth'];
  const own = await startEtcd({ scheme: 'https', flags });
  const [ca, keyText] = [await readFile(cert, 'utf8'), await readFile(key, 'utf8')];
  const config = { endpoints: [own.endpoint], prefix: '/x' };
  await expect(openEtcdStore({ ...config, tls: { ca } })).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
  const store = await openEtcdStore({ ...config, tls: { ca, cert: ca, key: keyText } });
  await store.transact([put('/a')]);
  expect((await store.list('/')).items).toHaveLength(1);
  await store.close();
  await own.remove();
  await rm(dir, { recursive: true });
});
