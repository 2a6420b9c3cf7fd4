import { createSocket, type Socket } from 'node:dgram';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { decode, encode } from 'dns-packet';
import { afterEach, describe, expect, test } from 'vitest';
import { bindSocket } from '../kernel/bound-sockets.ts';
import type { Ip } from '../net/ip.ts';
import { startDnsRelay } from './dns-relay.ts';

// In a network namespace of this test's own, 127.0.0.0/8 is all there is, and port 53 is free.
const relayAddress = '127.0.0.53' as Ip;
const open: { close: () => void }[] = [];
afterEach(() => {
  for (const one of open.splice(0)) one.close();
});

async function socket(port: number, address: string): Promise<Socket> {
  const one = createSocket('udp4');
  await new Promise<void>((resolve) => one.bind(port, address, resolve));
  open.push(one);
  return one;
}

async function relay(resolvConf: string): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'sbx-relay-'));
  open.push({ close: () => rmSync(dir, { recursive: true, force: true }) });
  writeFileSync(join(dir, 'resolv.conf'), resolvConf);
  const hostSocket = bindSocket('udp', '127.0.0.1' as Ip, 0);
  open.push(
    await startDnsRelay({
      listen: { address: relayAddress, port: 53 },
      hostSocket,
      resolvConf: join(dir, 'resolv.conf'),
    }),
  );
}

async function ask(id: number): Promise<ReturnType<typeof decode>> {
  const client = await socket(0, '127.0.0.1');
  const answer = new Promise<Buffer>((resolve) => client.once('message', resolve));
  client.send(
    encode({ type: 'query', id, flags: 0x100, questions: [{ type: 'A', name: 'example.com' }] }),
    53,
    relayAddress,
  );
  return decode(await answer);
}

describe('startDnsRelay', () => {
  test("passes a question to the host's resolver and its answer back under the asker's own id", async () => {
    const resolver = await socket(53, '127.0.0.2');
    resolver.on('message', (query, from) => {
      const { id = 0, questions = [] } = decode(query);
      const answers = [{ type: 'A' as const, name: 'example.com', ttl: 1, data: '192.0.2.7' }];
      resolver.send(encode({ type: 'response', id, questions, answers }), from.port, from.address);
    });
    await relay('nameserver 127.0.0.2\n');
    const both = await Promise.all([ask(7), ask(7)]);
    for (const answer of both) {
      expect(answer.id).toBe(7);
      expect(answer.answers).toMatchObject([{ type: 'A', data: '192.0.2.7' }]);
    }
  });

  test('answers SERVFAIL at once when the host has no resolver', async () => {
    await relay('# none\n');
    expect(await ask(9)).toMatchObject({ id: 9, type: 'response', rcode: 'SERVFAIL' });
  });

  test('ignores answers that come from elsewhere', async () => {
    const resolver = await socket(53, '127.0.0.2');
    const liar = await socket(0, '127.0.0.3');
    resolver.on('message', (query, from) => {
      const { id = 0, questions = [] } = decode(query);
      const answer = (data: string) =>
        encode({ type: 'response', id, questions, answers: [{ type: 'A', name: 'example.com', ttl: 1, data }] });
      liar.send(answer('203.0.113.1'), from.port, from.address, () => {
        resolver.send(answer('192.0.2.7'), from.port, from.address);
      });
    });
    await relay('nameserver 127.0.0.2\n');
    expect((await ask(1)).answers).toMatchObject([{ data: '192.0.2.7' }]);
  });
});
