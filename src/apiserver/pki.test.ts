import { X509Certificate } from 'node:crypto';
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { apiServerNames, ensurePki, issueClientCertificate } from './pki.ts';
import { startTestServer } from './test-server.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'signalbox-pki-'));
});
afterEach(() => rm(dir, { recursive: true }));

const names = apiServerNames({ clusterDomain: 'cluster.local', ips: ['10.96.0.1', '192.168.101.2'] });

describe('ensurePki', () => {
  test('makes an authority and a server certificate with all names, readable by the owner alone', async () => {
    const pki = await ensurePki(dir, names);
    const certificate = new X509Certificate(pki.serverCert);
    expect(certificate.verify(new X509Certificate(pki.caCert).publicKey)).toBe(true);
    for (const name of ['kubernetes', 'kubernetes.default.svc.cluster.local', 'localhost'])
      expect(certificate.checkHost(name)).toBe(name);
    for (const ip of ['10.96.0.1', '192.168.101.2', '127.0.0.1']) expect(certificate.checkIP(ip)).toBe(ip);
    expect(new X509Certificate(pki.caCert).ca).toBe(true);
    for (const file of await readdir(dir))
      expect([file, (await stat(join(dir, file))).mode & 0o777]).toEqual([file, 0o600]);
  });

  test('keeps what it made, and makes a server certificate anew for a new name', async () => {
    const first = await ensurePki(dir, names);
    expect(await ensurePki(dir, names)).toEqual(first);
    const second = await ensurePki(dir, { ...names, ips: [...names.ips, '10.1.2.3'] });
    expect(second.caCert).toBe(first.caCert);
    expect(new X509Certificate(second.serverCert).checkIP('10.1.2.3')).toBe('10.1.2.3');
  });

  test('says which file is no certificate', async () => {
    await ensurePki(dir, names);
    await writeFile(join(dir, 'ca.crt'), 'x');
    await expect(ensurePki(dir, names)).rejects.toThrow(/ca\.crt is not a certificate: .* \[PKI_UNREADABLE\]/);
  });
});

test('issueClientCertificate names user and groups, and is kept', async () => {
  const { cert } = await issueClientCertificate(dir, { user: 'system:node:n1', groups: ['system:nodes', 'b'] });
  expect(new X509Certificate(cert).subject).toBe('O=system:nodes\nO=b\nCN=system:node:n1');
  expect((await issueClientCertificate(dir, { user: 'system:node:n1', groups: ['b', 'system:nodes'] })).cert).toBe(
    cert,
  );
  expect((await issueClientCertificate(dir, { user: 'system:node:n1', groups: ['b'] })).cert).not.toBe(cert);
});

test('authenticateByCertificate lets nobody in without a certificate of the cluster, but to health', async () => {
  const server = await startTestServer();
  const stranger = await issueClientCertificate(dir, { user: 'admin', groups: ['system:masters'] });
  const get = (path: string, client?: { cert: string; key: string }) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(`${server.admin.server}${path}`, { ca: server.admin.certificateAuthority, ...client }, (response) => {
        response.resume();
        resolve(response.statusCode);
      })
        .on('error', reject)
        .end();
    });
  const admin = { cert: server.admin.clientCertificate, key: server.admin.clientKey };
  expect(await get('/api/v1/pods', admin)).toBe(200);
  for (const path of ['/api/v1/pods', '/api', '/metrics', '/version', '/openapi/v3', '/none'])
    expect(await get(path)).toBe(401);
  expect(await get('/api/v1/pods', stranger)).toBe(401);
  for (const path of ['/livez', '/readyz', '/healthz']) expect(await get(path)).toBe(200);
  await server.close();
});
