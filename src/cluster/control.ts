import { closeSync, openSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { SignalboxError } from '../errors/error.ts';
import { type ProxyMode, proxyModes } from '../proxy/proxy-mode.ts';
import { type FailureMessage, failureMessage } from './launch.ts';
import type { ClusterPaths } from './state.ts';

/** What a running cluster can be told. */
export interface ControlRequest {
  readonly proxyMode: ProxyMode;
}

/** What it says: each node that is done, then the end. */
type ControlReply = { readonly node: string } | { readonly done: true } | FailureMessage;

const socketName = 'control.sock';
/** A request is one short line. */
const maxRequest = 4096;
const requestTimeoutMs = 10_000;

/**
 * Serves requests on a socket in the cluster's folder, which only its owner can enter; one at a time, in the order
 * they come. `handle` tells of each node that is done; its rejection is the answer too. Gives a way to end.
 */
export function serveControl(
  paths: ClusterPaths,
  handle: (request: ControlRequest, tellNode: (node: string) => void) => Promise<void>,
): () => void {
  let last: Promise<unknown> = Promise.resolve();
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.setTimeout(requestTimeoutMs, () => socket.destroy());
    readRequest(socket, (request) => {
      socket.setTimeout(0);
      last = last.then(() => answer(socket, (tellNode) => handle(request, tellNode)));
    });
  });
  rmSync(`${paths.dir}/${socketName}`, { force: true });
  const folder = openSync(paths.dir, 'r');
  server.listen(shortPath(folder));
  return () => server.close(() => closeSync(folder));
}

/**
 * Asks the cluster's supervisor, and resolves when it is done.
 * @throws SignalboxError what the supervisor says; `CLUSTER_NOT_RUNNING` when it does not answer
 */
export async function askSupervisor(
  paths: ClusterPaths,
  request: ControlRequest,
  onNode: (node: string) => void,
): Promise<void> {
  const folder = openSync(paths.dir, 'r');
  try {
    const socket = createConnection(shortPath(folder));
    socket.write(`${JSON.stringify(request)}\n`);
    for await (const line of createInterface({ input: socket })) {
      const reply: ControlReply = JSON.parse(line);
      if ('failed' in reply) throw new SignalboxError(reply.failed.code, reply.failed);
      if ('done' in reply) return;
      onNode(reply.node);
    }
  } catch (cause) {
    throw cause instanceof SignalboxError ? cause : noAnswer(paths, cause);
  } finally {
    closeSync(folder);
  }
  throw noAnswer(paths, undefined);
}

/** The address of a socket has room for 107 bytes only (unix(7)), and a home may be longer: so by the folder's number. */
function shortPath(folder: number): string {
  return `/proc/self/fd/${folder}/${socketName}`;
}

/** Whatever is not a request ends the connection. */
function readRequest(socket: Socket, onRequest: (request: ControlRequest) => void): void {
  let text = '';
  const onData = (data: Buffer) => {
    text += data.toString();
    if (text.length > maxRequest) socket.destroy();
    if (!text.includes('\n')) return;
    socket.off('data', onData);
    const request = parseRequest(text);
    if (request === undefined) socket.destroy();
    else onRequest(request);
  };
  socket.on('data', onData);
}

function parseRequest(text: string): ControlRequest | undefined {
  try {
    const proxyMode = proxyModes.find((mode) => mode === JSON.parse(text).proxyMode);
    return proxyMode && { proxyMode };
  } catch {
    return undefined;
  }
}

async function answer(socket: Socket, work: (tellNode: (node: string) => void) => Promise<void>): Promise<void> {
  const say = (reply: ControlReply) => socket.writable && socket.write(`${JSON.stringify(reply)}\n`);
  try {
    await work((node) => say({ node }));
    say({ done: true });
  } catch (error) {
    say(failureMessage(error));
  }
  socket.end();
}

function noAnswer(paths: ClusterPaths, cause: unknown): SignalboxError {
  return new SignalboxError('CLUSTER_NOT_RUNNING', {
    object: paths.dir,
    problem: 'has a supervisor that does not answer',
    remedy: `see the end of ${paths.log}`,
    cause,
  });
}
