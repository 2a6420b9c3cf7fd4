/**
 * A process that lives in one network namespace of a test: it serves, and it calls when told to. Commands come as
 * lines of JSON on standard input, answers go out the same way.
 */
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { CallResult, Command } from './topology.ts';

const [name, ...ports] = process.argv.slice(1);
const callTimeout = 2_000;

/** Answers over TCP and UDP alike with who it is and whom it sees. */
function serve(port: number): void {
  const answer = (address: string | undefined) => `${name} ${(address ?? '').replace('::ffff:', '')}`;
  createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(answer(socket.remoteAddress));
  }).listen(port);
  const udp = createSocket('udp6');
  udp.on('message', (_, from) => udp.send(answer(from.address), from.port, from.address));
  udp.bind(port);
}

function call(command: Command): Promise<CallResult> {
  const started = performance.now();
  return new Promise((resolve) => {
    const finish = (result: { answer: string } | { error: string }) => {
      clearTimeout(timer);
      resolve({ id: command.id, milliseconds: performance.now() - started, ...result });
    };
    const timer = setTimeout(() => finish({ error: 'TIMEOUT' }), callTimeout);
    if (command.protocol === 'tcp') callTcp(command, finish);
    else callUdp(command, finish);
  });
}

type Finish = (result: { answer: string } | { error: string }) => void;

function callTcp({ ip, port }: Command, finish: Finish): void {
  const socket = connect(port, ip);
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('end', () => finish({ answer: text }));
  socket.on('error', (error: NodeJS.ErrnoException) => finish({ error: error.code ?? error.message }));
}

function callUdp({ ip, port, sourcePort }: Command, finish: Finish): void {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  const end = (result: Parameters<Finish>[0]) => {
    finish(result);
    socket.removeAllListeners('error').on('error', () => {});
    socket.close();
  };
  socket.on('message', (message) => end({ answer: message.toString() }));
  socket.on('error', (error: NodeJS.ErrnoException) => end({ error: error.code ?? error.message }));
  // A connected socket hears of an ICMP refusal.
  socket.bind(sourcePort ?? 0, () => socket.connect(port, ip, () => socket.send('who?')));
}

for (const port of ports) serve(Number(port));
createInterface({ input: process.stdin })
  .on('line', async (line) => process.stdout.write(`${JSON.stringify(await call(JSON.parse(line)))}\n`))
  .on('close', () => process.exit());
process.stdout.write('ready\n');
