/**
 * A process that lives in one network namespace of a test: it serves, and it calls when told to. Commands come as
 * lines of JSON on standard input, answers go out the same way.
 */
import { createSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import type { CallResult, Command, ListenAddress } from './topology.ts';

const [listening = '[]'] = process.argv.slice(1);

/** Calls that are on their way at the same time. */
const concurrency = 32;

/** Calls without answer after which the rest of a command is not tried: whoever reads of them has seen enough. */
const enoughLost = 8;

/** Answers over TCP and UDP alike with a name and the address of the caller. */
function serve({ name, ip, port }: ListenAddress): Promise<unknown> {
  const answer = (address: string | undefined) => `${name} ${address ?? ''}`;
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.end(answer(socket.remoteAddress));
  });
  const udp = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  udp.on('message', (_, from) => udp.send(answer(from.address), from.port, from.address));
  return Promise.all([
    new Promise<void>((resolve) => server.listen({ port, host: ip, backlog: 4096 }, resolve)),
    new Promise<void>((resolve) => udp.bind(port, ip, resolve)),
  ]);
}

/** All calls of a command, in order of its sources; as many at a time as are allowed. */
async function callAll(command: Command): Promise<CallResult> {
  const started = performance.now();
  const sources = command.sources ?? [undefined];
  const calls = sources.flatMap((source) => Array.from({ length: command.times }, () => source));
  const outcomes: string[] = [];
  let next = 0;
  let lost = 0;
  const caller = async () => {
    for (let i = next++; i < calls.length; i = next++) {
      outcomes[i] = lost < enoughLost ? await call(command, calls[i]) : 'TIMEOUT';
      if (outcomes[i] === 'TIMEOUT') lost++;
    }
  };
  await Promise.all(Array.from({ length: Math.min(concurrency, calls.length) }, caller));
  return { id: command.id, milliseconds: performance.now() - started, outcomes };
}

type Finish = (outcome: string) => void;

/** What came of one call: the answer, an errno's name, or `TIMEOUT`. */
function call(command: Command, source: string | undefined): Promise<string> {
  return new Promise((resolve) => {
    const begin = command.protocol === 'tcp' ? callTcp : callUdp;
    const end = begin(command, source, (outcome) => {
      clearTimeout(timer);
      resolve(outcome);
    });
    const timer = setTimeout(() => {
      end();
      resolve('TIMEOUT');
    }, command.timeout);
  });
}

function callTcp({ ip, port }: Command, source: string | undefined, finish: Finish): () => void {
  const socket = connect({ host: ip, port, ...(source && { localAddress: source }) });
  let text = '';
  socket.setEncoding('utf8');
  socket.on('data', (chunk) => {
    text += chunk;
  });
  socket.on('end', () => finish(text));
  socket.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? error.message));
  return () => socket.destroy();
}

function callUdp({ ip, port, sourcePort }: Command, source: string | undefined, finish: Finish): () => void {
  const socket = createSocket(ip.includes(':') ? 'udp6' : 'udp4');
  let open = true;
  const close = () => {
    if (open) socket.close();
    open = false;
  };
  const end = (outcome: string) => {
    close();
    finish(outcome);
  };
  socket.on('message', (message) => end(message.toString()));
  socket.on('error', (error: NodeJS.ErrnoException) => end(error.code ?? error.message));
  // A connected socket hears of an ICMP refusal.
  socket.bind({ port: sourcePort ?? 0, ...(source && { address: source }) }, () =>
    socket.connect(port, ip, () => open && socket.send('who?')),
  );
  return close;
}

const addresses: readonly ListenAddress[] = JSON.parse(listening);
Promise.all(addresses.map(serve)).then(() => {
  createInterface({ input: process.stdin })
    .on('line', async (line) => process.stdout.write(`${JSON.stringify(await callAll(JSON.parse(line)))}\n`))
    .on('close', () => process.exit());
  process.stdout.write('ready\n');
});
