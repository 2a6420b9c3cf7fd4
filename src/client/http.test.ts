import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { createServer as createPlainServer, type RequestListener, type Server } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { TLSSocket } from 'node:tls';
import * as x509 from '@peculiar/x509';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { sleep } from '../component/backoff.ts';
import { createHttpTransport, defaultTimeouts, type HttpTransport } from './http.ts';
import type { ClientConfig } from './types.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };

interface Identity {
  readonly certificate: string;
  readonly key: string;
  readonly keys: webcrypto.CryptoKeyPair;
}

async function identity(name: string, issuer?: Identity, validMs = 3_600_000): Promise<Identity> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const certificate = await x509.X509CertificateGenerator.create({
    subject: `CN=${name}`,
    issuer: issuer === undefined ? `CN=${name}` : new x509.X509Certificate(issuer.certificate).subject,
    notBefore: new Date(Date.now() - 7_200_000),
    notAfter: new Date(Date.now() + validMs),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: (issuer?.keys ?? keys).privateKey,
    extensions: [
      new x509.BasicConstraintsExtension(issuer === undefined),
      new x509.SubjectAlternativeNameExtension(
        [
          { type: 'dns', value: name },
          { type: 'ip', value: '127.0.0.1' },
        ].slice(0, name === 'elsewhere' ? 1 : 2) as x509.JsonGeneralNames,
      ),
    ],
  });
  const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64');
  return {
    certificate: certificate.toString('pem'),
    key: `-----BEGIN PRIVATE KEY-----\n${der}\n-----END PRIVATE KEY-----`,
    keys,
  };
}

let authority: Identity;
let server: Identity;
let client: Identity;
beforeAll(async () => {
  authority = await identity('authority');
  [server, client] = await Promise.all([identity('server', authority), identity('client', authority)]);
});

const cleanups: (() => void)[] = [];
afterEach(() => {
  for (const cleanup of cleanups.splice(0)) cleanup();
});

async function listen(instance: Server): Promise<string> {
  await new Promise<void>((resolve) => instance.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => {
    instance.closeAllConnections();
    instance.close();
  });
  return `127.0.0.1:${(instance.address() as AddressInfo).port}`;
}

const serve = async (listener: RequestListener) => `http://${await listen(createPlainServer(listener))}`;
const serveTls = async (listener: RequestListener, options: ServerOptions = {}) =>
  `https://${await listen(createTlsServer({ cert: server.certificate, key: server.key, ca: authority.certificate, ...options }, listener))}`;

function transport(config: ClientConfig, timeouts: Partial<typeof defaultTimeouts> = {}): HttpTransport {
  const created = createHttpTransport(config, { ...defaultTimeouts, ...timeouts });
  cleanups.push(() => created.close());
  return created;
}

const get = { method: 'GET', path: '/x?y=1' };

describe('createHttpTransport', () => {
  test('createHttpTransport sends requests over one kept-alive connection, with the client certificate', async () => {
    const seen: string[] = [];
    const sockets = new Set<unknown>();
    const url = await serveTls(
      (request, response) => {
        sockets.add(request.socket);
        const { subject } = (request.socket as TLSSocket).getPeerCertificate();
        let body = '';
        request.on('data', (part) => {
          body += part;
        });
        request.on('end', () => {
          seen.push(`${subject.CN} ${request.method} ${request.url} ${body}`);
          response.setHeader('content-type', 'text/plain').end('answer');
        });
      },
      { requestCert: true, rejectUnauthorized: true },
    );
    const http = transport({
      server: `${url}/base/`,
      certificateAuthority: authority.certificate,
      clientCertificate: client.certificate,
      clientKey: client.key,
    });
    expect(await http.request(get)).toEqual({ status: 200, contentType: 'text/plain', body: 'answer' });
    await http.request({ method: 'POST', path: '/z', body: 'größer' });
    expect(seen).toEqual(['client GET /base/x?y=1 ', 'client POST /base/z größer']);
    expect(sockets.size).toBe(1);
  });

  test('createHttpTransport resumes the TLS session on a further connection', async () => {
    const reused: boolean[] = [];
    const url = await serveTls((request, response) => {
      reused.push((request.socket as TLSSocket).isSessionReused());
      setTimeout(() => response.end(), 20);
    });
    const http = transport({ server: url, certificateAuthority: authority.certificate });
    await http.request(get);
    await Promise.all([http.request(get), http.request(get)]);
    expect(reused).toEqual([false, false, true]);
  });

  test('createHttpTransport goes over to a new client certificate', async () => {
    const names: string[] = [];
    const url = await serveTls(
      (request, response) => {
        names.push(String((request.socket as TLSSocket).getPeerCertificate().subject.CN));
        response.end();
      },
      { requestCert: true },
    );
    let now = client;
    const clientIdentity = async () => now;
    const http = transport({ server: url, certificateAuthority: authority.certificate, clientIdentity });
    await http.request(get);
    now = await identity('successor', authority);
    await http.request(get);
    expect(names).toEqual(['client', 'successor']);
  });

  test.each([
    ['a certificate of an unknown authority', {}, /authority that is not trusted|self-signed certificate that is not/],
    ['an expired certificate', { expired: true }, /certificate that has expired/],
    ['a certificate for another name', { elsewhere: true }, /certificate for other host names/],
  ])(
    'createHttpTransport does not talk to a server with %s',
    async (_what, kind: { expired?: boolean; elsewhere?: boolean }, message) => {
      const known = kind.expired === true || kind.elsewhere === true;
      const shown = kind.expired
        ? await identity('server', authority, -1000)
        : kind.elsewhere
          ? await identity('elsewhere', authority)
          : await identity('server');
      const url = await serveTls((_request, response) => response.end(), { cert: shown.certificate, key: shown.key });
      const http = transport({ server: url, certificateAuthority: known ? authority.certificate : client.certificate });
      await expect(http.request(get)).rejects.toMatchObject({
        code: 'API_UNTRUSTED',
        message: expect.stringMatching(message),
      });
      const trusting = transport({ server: url, insecureSkipTlsVerify: true });
      expect((await trusting.request(get)).status).toBe(200);
      if (kind.elsewhere === true) {
        const named = transport({
          server: url,
          certificateAuthority: authority.certificate,
          tlsServerName: 'elsewhere',
        });
        expect((await named.request(get)).status).toBe(200);
      }
    },
  );

  test('createHttpTransport tells that the server does not accept the client certificate, or wants one', async () => {
    const url = await serveTls((_request, response) => response.end(), { requestCert: true, rejectUnauthorized: true });
    const stranger = await identity('client');
    const http = transport({
      server: url,
      certificateAuthority: authority.certificate,
      clientCertificate: stranger.certificate,
      clientKey: stranger.key,
    });
    await expect(http.request(get)).rejects.toMatchObject({
      message: expect.stringMatching(/does not accept the client certificate|closed the connection/),
    });
  });

  test('createHttpTransport tells that a server does not speak TLS, and that a certificate cannot be read', async () => {
    const url = (await serve((_request, response) => response.end())).replace('http:', 'https:');
    await expect(transport({ server: url }).request(get)).rejects.toThrow(/does not speak TLS: write http:/);
    const broken = transport({ server: url, clientCertificate: 'nonsense', clientKey: 'nonsense' });
    await expect(broken.request(get)).rejects.toMatchObject({ code: 'INVALID_KUBECONFIG' });
    expect(() => transport({ server: 'localhost:6443' })).toThrow(/is not the address of an API server/);
  });

  test('createHttpTransport tells that nobody listens', async () => {
    const instance = createPlainServer();
    const address = await listen(instance);
    await new Promise((resolve) => instance.close(resolve));
    await expect(transport({ server: `https://${address}` }).request(get)).rejects.toMatchObject({
      code: 'API_UNREACHABLE',
      message: expect.stringContaining(`API server https://${address} refuses the connection`),
    });
  });

  test('createHttpTransport gives up a request without an answer, or with one that does not end', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/half') response.write('begun');
    });
    const http = transport({ server: url }, { request: 100 });
    await expect(http.request(get)).rejects.toMatchObject({
      code: 'API_UNREACHABLE',
      message: expect.stringContaining('in time'),
    });
    await expect(http.request({ method: 'GET', path: '/half' })).rejects.toThrow('in time');
  });

  test('createHttpTransport waits as the server asks, sends again, and gives the answer when it goes on', async () => {
    const times: number[] = [];
    const url = await serve((request, response) => {
      times.push(performance.now());
      const busy = request.url === '/always' || times.length < 2;
      response.writeHead(busy ? 429 : 200, busy ? { 'retry-after': '1' } : {}).end();
    });
    expect((await transport({ server: url }).request({ method: 'POST', path: '/once', body: '{}' })).status).toBe(200);
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThan(950);
    times.length = 0;
    expect(
      (await transport({ server: url }, { request: 2_900 }).request({ method: 'GET', path: '/always' })).status,
    ).toBe(429);
    expect(times.length).toBe(3);
  });

  test('createHttpTransport repeats a read on a connection that turned out closed, not a write', async () => {
    let requests = 0;
    const url = await serve((request, response) => {
      if (++requests % 2 === 0) request.socket.resetAndDestroy();
      else response.end();
    });
    const http = transport({ server: url });
    await http.request(get);
    expect((await http.request(get)).status).toBe(200);
    expect(requests).toBe(3);
    await expect(http.request({ method: 'POST', path: '/', body: '{}' })).rejects.toMatchObject({
      code: 'API_UNREACHABLE',
    });
    expect(requests).toBe(4);
  });

  test('createHttpTransport sends the token, and once more with a new one when it is refused', async () => {
    const url = await serve((request, response) => {
      response.writeHead(request.headers.authorization === 'Bearer fresh' ? 200 : 401).end();
    });
    let token = 'stale';
    const http = transport({
      server: url,
      token: () => token,
      onUnauthorized: () => {
        token = token === 'stale' ? 'fresh' : 'wrong';
      },
    });
    expect((await http.request(get)).status).toBe(200);
    token = 'other';
    expect((await http.request(get)).status).toBe(401);
  });

  test('createHttpTransport streams until the signal aborts, and keeps an idle time', async () => {
    const url = await serve((request, response) => {
      response.write('one');
      if (request.url !== '/silent') setTimeout(() => response.write('two'), 60);
    });
    const http = transport({ server: url });
    const abort = new AbortController();
    const parts: string[] = [];
    const stream = await http.stream(get, abort.signal);
    if ('status' in stream) throw new Error('no stream');
    for await (const part of stream) {
      parts.push(part.toString());
      if (parts.length === 2) abort.abort();
    }
    expect(parts).toEqual(['one', 'two']);

    const impatient = transport({ server: url }, { streamIdle: 150 });
    const silent = await impatient.stream({ method: 'GET', path: '/silent' }, new AbortController().signal);
    if ('status' in silent) throw new Error('no stream');
    const read = async () => {
      for await (const part of silent) expect(part.toString()).toBe('one');
    };
    await expect(read()).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
  });

  test('createHttpTransport gives a failed stream as an answer, cut at 64 KiB', async () => {
    const url = await serve((_request, response) => response.writeHead(500).end('x'.repeat(1_000_000)));
    const answer = await transport({ server: url }).stream(get, new AbortController().signal);
    if (!('status' in answer)) throw new Error('no answer');
    expect(answer.status).toBe(500);
    expect(answer.body.length).toBeGreaterThan(0);
    expect(answer.body.length).toBeLessThanOrEqual(65_536);
  });

  test('createHttpTransport rejects what is under way and what comes later once it is closed', async () => {
    const url = await serve((request, response) => {
      if (request.url === '/stream') response.write('x');
    });
    const http = transport({ server: url });
    const underWay = http.request(get);
    const stream = await http.stream({ method: 'GET', path: '/stream' }, new AbortController().signal);
    const rest = (async () => {
      if (!('status' in stream)) for await (const _ of stream);
    })();
    const outcome = Promise.allSettled([underWay, rest]);
    await sleep(20);
    http.close();
    for (const { status } of await outcome) expect(status).toBe('rejected');
    await expect(http.request(get)).rejects.toMatchObject({ code: 'API_UNREACHABLE' });
  });
});
