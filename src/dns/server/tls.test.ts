import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect as connectPlain } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ConnectionOptions, connect as connectSecurely, type TLSSocket } from 'node:tls';
import { decode } from 'dns-packet';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { lines, questionPacket } from '../testing/ask.ts';
import { type Certified, certify } from '../testing/certificates.ts';
import { exampleZone } from '../testing/cluster.ts';
import { responderOf } from '../testing/responder.ts';
import { anyPort, silent } from '../testing/servers.ts';
import { readServerTls, type ServerTls } from '../tls-files.ts';
import { listenTcp, type StreamListener } from './tcp.ts';

const hello = { name: 'hello-service.default.svc.cluster.local', type: 'A' };
const limits = { connections: 4, idleMs: 2_000, pipelined: 3 };

let authority: Certified;
let server: Certified;
let client: Certified;
beforeAll(async () => {
  authority = await certify('Test Authority');
  server = await certify('dns.test', authority);
  client = await certify('client.test', authority);
});

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

async function listen(rest: Partial<ServerTls> = {}): Promise<StreamListener> {
  const tls = { cert: server.cert, key: server.key, requestCert: false, ...rest };
  const responder = responderOf({ zone: exampleZone() });
  const listener = await listenTcp(anyPort, { responder, limits, log: silent, tls });
  closers.push(() => listener.close());
  return listener;
}

async function open({ address }: StreamListener, rest: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connectSecurely({
    port: address.port,
    host: address.ip,
    servername: 'dns.test',
    ca: authority.cert,
    ...rest,
  });
  closers.push(() => socket.destroy());
  await once(socket, 'secureConnect');
  return socket;
}

function framed(packet: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(packet.length);
  return Buffer.concat([length, packet]);
}

/** Sends queries at once, and gives the names and addresses answered. */
async function query(socket: TLSSocket, count: number): Promise<string[]> {
  socket.write(Buffer.concat(Array.from({ length: count }, (_, id) => framed(questionPacket(hello, { id })))));
  let received = Buffer.alloc(0);
  const answers: string[] = [];
  for await (const [chunk] of eachChunk(socket)) {
    received = Buffer.concat([received, chunk]);
    while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
      answers.push(...lines(decode(received.subarray(2)).answers));
      received = received.subarray(2 + received.readUInt16BE(0));
    }
    if (answers.length === count) break;
  }
  return answers;
}

async function* eachChunk(socket: TLSSocket): AsyncGenerator<[Buffer]> {
  const closed = once(socket, 'close').then(() => {
    throw new Error('the connection was closed');
  });
  for (;;) yield (await Promise.race([once(socket, 'data'), closed])) as [Buffer];
}

describe('listenTcp: TLS', () => {
  test('answers several queries of one connection', async () => {
    const socket = await open(await listen(), { ALPNProtocols: ['dot'] });
    expect(socket.alpnProtocol).toBe('dot');
    expect(await query(socket, 8)).toEqual(Array.from({ length: 8 }, () => `${hello.name} A 10.96.0.20`));
  });

  test('cuts who is idle, and who never ends his handshake', async () => {
    const listener = await listen();
    const idle = await open(listener);
    const slow = connectPlain(listener.address.port, listener.address.ip);
    slow.on('error', () => undefined).resume();
    idle.resume();
    // The first octets of a handshake.
    slow.write(Buffer.from([0x16, 0x03, 0x01]));
    await Promise.all([once(idle, 'close'), once(slow, 'close')]);
  });

  test('asks for a certificate where it is to, and takes only those of the authority', async () => {
    const listener = await listen({ requestCert: true, ca: authority.cert });
    expect(await query(await open(listener, client), 1)).toHaveLength(1);
    for (const unknown of [{}, await certify('client.test')]) {
      // TLS 1.3 lets the client speak before the server has looked at its certificate.
      const refused = open(listener, unknown).then((socket) => query(socket, 1));
      await expect(refused).rejects.toThrow();
    }
  });

  test('shows another certificate when it is told to', async () => {
    const listener = await listen();
    expect((await open(listener)).getPeerCertificate().subject.CN).toBe('dns.test');
    const next = await certify('next.test', authority);
    listener.secure({ cert: next.cert, key: next.key, requestCert: false });
    expect((await open(listener, { servername: 'next.test' })).getPeerCertificate().subject.CN).toBe('next.test');
  });

  test('asks for certificates from then on when it is told to', async () => {
    const listener = await listen();
    expect(await query(await open(listener), 1)).toHaveLength(1);
    listener.secure({ cert: server.cert, key: server.key, ca: authority.cert, requestCert: true });
    await expect(open(listener).then((socket) => query(socket, 1))).rejects.toThrow();
    expect(await query(await open(listener, client), 1)).toHaveLength(1);
  });

  test('ends soon, also while somebody shakes hands', async () => {
    const listener = await listen();
    const slow = connectPlain(listener.address.port, listener.address.ip);
    slow.on('error', () => undefined);
    await once(slow, 'connect');
    await listener.close();
    closers.length = 0;
  });

  test('speaks with dig', async () => {
    const { address } = await listen();
    const args = ['+tls', '+short', '+time=2', '+tries=1', '@127.0.0.1', '-p', String(address.port), hello.name];
    const answer = await new Promise<string>((resolve) => execFile('dig', args, (_error, stdout) => resolve(stdout)));
    expect(answer).toBe('10.96.0.20\n');
  });
});

describe('readServerTls', () => {
  test('reads files, and says which it cannot use', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'dns-tls-'));
    closers.push(() => rm(folder, { recursive: true }));
    const [certFile, keyFile, otherKey] = ['cert.pem', 'key.pem', 'other.pem'].map((name) => join(folder, name)) as [
      string,
      string,
      string,
    ];
    await writeFile(certFile, server.cert);
    await writeFile(keyFile, server.key);
    await writeFile(otherKey, client.key);
    const read = (key: string, clientCaFile?: string) => readServerTls({ certFile, keyFile: key, clientCaFile });
    expect(await read(keyFile)).toMatchObject({ requestCert: false });
    expect(await read(keyFile, certFile)).toMatchObject({ requestCert: true });
    await expect(read(join(folder, 'gone.pem'))).rejects.toThrow(/gone\.pem cannot be read.*INVALID_CONFIG/);
    await expect(read(otherKey)).rejects.toThrow(/cannot be used for TLS.*INVALID_CONFIG/);
  });
});
