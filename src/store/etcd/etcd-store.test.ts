import { randomUUID } from 'node:crypto';
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
