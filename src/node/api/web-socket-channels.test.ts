import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test } from 'vitest';
import { WebSocket } from 'ws';
import { type ClientMessage, channel, exitStatus, sessionProtocols } from './channels.ts';
import { acceptWebSocket } from './web-socket.ts';
import { WebSocketChannels } from './web-socket-channels.ts';

const server = createServer();
afterEach(() => {
  server.removeAllListeners('upgrade');
  server.close();
});

/** A client that speaks a protocol, and the channels that the server has with it. */
async function connect(protocol: string) {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const accepted = new Promise<WebSocketChannels>((resolve, reject) => {
    server.once('upgrade', (request, socket, head) => {
      acceptWebSocket({ request, socket, head, isSpdy: false }, sessionProtocols)
        .then((each) => resolve(new WebSocketChannels(each)))
        .catch(reject);
    });
  });
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const client = new WebSocket(url, protocol === '' ? [] : [protocol]);
  const said: (Buffer | string)[] = [];
  client.on('message', (data, isBinary) => said.push(isBinary ? (data as Buffer) : String(data)));
  const channels = await accepted;
  if (client.readyState !== client.OPEN) await once(client, 'open');
  return { client, channels, said };
}

const failed = exitStatus(3);
const whole = JSON.stringify(failed);
const words = 'command terminated with non-zero exit code: exit status 3';
const bytes = (number: number, text: string) => Buffer.from([number, ...Buffer.from(text)]);
const text = (number: number, said: string) => `${number}${Buffer.from(said).toString('base64')}`;

test.each([
  ['v5.channel.k8s.io', bytes, whole],
  ['v4.channel.k8s.io', bytes, whole],
  ['v4.base64.channel.k8s.io', text, whole],
  ['channel.k8s.io', bytes, words],
  ['base64.channel.k8s.io', text, words],
  ['', bytes, words],
])('WebSocketChannels speaks %j', async (protocol, message, end) => {
  const { client, channels, said } = await connect(protocol);
  expect(client.protocol).toBe(protocol);
  const heard = new Promise<ClientMessage>((resolve) => channels.listen(resolve));
  client.send(message(channel.stdin, 'typed\n'));
  expect(await heard).toEqual({ type: 'stdin', data: Buffer.from('typed\n') });
  channels.send(channel.stdout, Buffer.from('shown\n'));
  channels.sendStatus(failed);
  channels.close();
  await once(client, 'close');
  expect(said).toEqual([message(channel.stdout, 'shown\n'), message(channel.error, end)]);
});

test.each([
  ['v4.channel.k8s.io', [bytes(channel.error, JSON.stringify(exitStatus(0)))]],
  ['channel.k8s.io', []],
])('WebSocketChannels says in %j of a session that went well what its clients expect', async (protocol, end) => {
  const { client, channels, said } = await connect(protocol);
  channels.sendStatus(exitStatus(0));
  channels.close();
  await once(client, 'close');
  expect(said).toEqual(end);
});
