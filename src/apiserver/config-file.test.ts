import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { parseApiServerConfig } from './config-file.ts';

let pkiDir: string;
beforeAll(() => {
  pkiDir = mkdtempSync(join(tmpdir(), 'signalbox-config-'));
  for (const name of ['ca.crt', 'apiserver.crt', 'apiserver.key', 'sa.key']) writeFileSync(join(pkiDir, name), name);
});
afterAll(() => rmSync(pkiDir, { recursive: true }));

const base = () => ({ pkiDir, listen: [{ host: '127.0.0.1', port: 6443 }], serviceCidrs: ['10.96.0.0/12'] });
const storeOf = (rest: object) => parseApiServerConfig({ ...base(), ...rest }).store;
const member = 'https://127.0.0.1:2379';

test('parseApiServerConfig reads each kind of store', () => {
  expect(storeOf({ dataDir: '/data' })).toEqual({ lmdb: { dir: '/data' } });
  expect(storeOf({ store: { lmdb: { dir: '/data' } } })).toEqual({ lmdb: { dir: '/data' } });
  expect(storeOf({ store: { etcd: { endpoints: [member, 'http://[::1]:2379'] } } })).toEqual({
    etcd: { endpoints: [member, 'http://[::1]:2379'], prefix: '/signalbox' },
  });
  const files = { caFile: join(pkiDir, 'ca.crt'), certFile: join(pkiDir, 'apiserver.crt') };
  const tls = { ...files, keyFile: join(pkiDir, 'apiserver.key') };
  expect(storeOf({ store: { etcd: { endpoints: [member], prefix: '/mine', tls } } })).toEqual({
    etcd: {
      endpoints: [member],
      prefix: '/mine',
      tls: { ca: 'ca.crt', cert: 'apiserver.crt', key: 'apiserver.key' },
    },
  });
});

test.each([
  ['no store at all', {}, 'dataDir'],
  ['two stores', { dataDir: '/data', store: { lmdb: { dir: '/other' } } }, 'dataDir'],
  ['both kinds', { store: { lmdb: { dir: '/d' }, etcd: { endpoints: [member] } } }, 'store'],
  ['neither kind', { store: {} }, 'store'],
  ['an unknown kind', { store: { sqlite: {} } }, 'store.sqlite'],
  ['a store that is a text', { store: '/data' }, 'store'],
  ['LMDB without a folder', { store: { lmdb: {} } }, 'store.lmdb.dir'],
  ['a folder that is a number', { store: { lmdb: { dir: 7 } } }, 'store.lmdb.dir'],
  ['etcd without members', { store: { etcd: {} } }, 'store.etcd.endpoints'],
  ['an empty list of members', { store: { etcd: { endpoints: [] } } }, 'store.etcd.endpoints'],
  [
    'a member without a scheme',
    { store: { etcd: { endpoints: [member, 'localhost:2379'] } } },
    'store.etcd.endpoints[1]',
  ],
  ['a member with a path', { store: { etcd: { endpoints: [`${member}/v3`] } } }, 'store.etcd.endpoints[0]'],
  ['a member with a password', { store: { etcd: { endpoints: ['https://a:b@host:1'] } } }, 'store.etcd.endpoints[0]'],
  ['a prefix that is no text', { store: { etcd: { endpoints: [member], prefix: 1 } } }, 'store.etcd.prefix'],
  ['a misspelt TLS file', { store: { etcd: { endpoints: [member], tls: { ca: 'x' } } } }, 'store.etcd.tls.ca'],
  [
    'a TLS file that is not there',
    { store: { etcd: { endpoints: [member], tls: { caFile: '/nowhere/ca.crt' } } } },
    'store.etcd.tls.caFile',
  ],
])('parseApiServerConfig refuses %s and names the field', (_, rest, field) => {
  let error: unknown;
  try {
    storeOf(rest);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toMatchObject({ code: 'INVALID_CONFIG' });
  // The path is the field's own: not that of something inside or around it.
  expect(String(error)).toMatch(new RegExp(`(^|[ :"\`])${field.replaceAll(/[.[\]]/g, '\\$&')}([ "\`:]|$)`));
});

test('parseApiServerConfig reads the limits that are given, and has its own for the others', () => {
  const limitsOf = (limits: object) => parseApiServerConfig({ ...base(), dataDir: '/data', limits }).limits;
  expect(limitsOf({})).toEqual({ reads: 400, writes: 200, streams: 10_000, requestMs: 60_000, answerBytes: 2 ** 29 });
  expect(limitsOf({ reads: 7, requestSeconds: 2, answerMegabytes: 1 })).toMatchObject({
    ...{ reads: 7, writes: 200, requestMs: 2_000, answerBytes: 2 ** 20 },
  });
  expect(() => limitsOf({ writes: 0 })).toThrow(/limits\.writes/);
});
