import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

/** Where an endpoint that echoes is reached. */
export interface EchoAddress {
  readonly host: string;
  readonly port: number;
}

const connectionsARound = 2_000;
const atOnce = 8;
const megabytesARound = 256;

/** Answers what it hears. */
export async function serveEcho({ host, port }: EchoAddress): Promise<Server> {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.pipe(socket);
  });
  server.listen({ port, host, backlog: 4096 });
  await once(server, 'listening');
  return server;
}

/** New connections a second, each with a question and its answer. */
export async function connectionsASecond(echo: EchoAddress): Promise<number> {
  const began = performance.now();
  await Promise.all(
    several(atOnce, async () => {
      for (let i = 0; i < connectionsARound / atOnce; i++) {
        const socket = await open(echo);
        await ask(socket, 'x');
        socket.destroy();
      }
    }),
  );
  return (connectionsARound / (performance.now() - began)) * 1000;
}

/** Megabytes a second, there and back by one connection. */
export async function throughput(echo: EchoAddress): Promise<number> {
  const socket = await open(echo);
  const chunk = Buffer.alloc(1 << 20);
  let back = 0;
  const began = performance.now();
  const all = new Promise<void>((resolve) => {
    socket.on('data', (data) => {
      back += data.length;
      if (back === megabytesARound << 20) resolve();
    });
  });
  for (let i = 0; i < megabytesARound; i++) if (!socket.write(chunk)) await once(socket, 'drain');
  await all;
  socket.destroy();
  return (megabytesARound / (performance.now() - began)) * 1000;
}

export function several<T>(count: number, make: () => Promise<T>): Promise<T>[] {
  return Array.from({ length: count }, make);
}

export async function open({ host, port }: EchoAddress): Promise<Socket> {
  const socket = connect({ port, host, noDelay: true });
  await once(socket, 'connect');
  return socket;
}

export async function ask(socket: Socket, question: string): Promise<string> {
  const answer = once(socket, 'data');
  socket.write(question);
  return String((await answer)[0]);
}
