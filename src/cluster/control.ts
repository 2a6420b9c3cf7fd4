import { closeSync, openSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { SignalboxError } from '../errors/error.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import { type ProxyMode, proxyModes } from '../proxy/proxy-mode.ts';
import type { Announcement } from './announcements.ts';
import type { Follower } from './followers.ts';
import { type FailureMessage, failureMessage } from './launch.ts';
import type { ClusterPaths } from './state.ts';

/** What a running cluster can be told: to be in another mode, to say who announces what, or how far all have come. */
type ControlRequest =
  | { readonly proxyMode: ProxyMode }
  | { readonly announcements: true }
  | { readonly followers: { readonly dnsPods: readonly Ip[] } };

/** What it says: each node that is done, or what was asked for, then the end. */
type ControlReply =
  | { readonly node: string }
  | { readonly announcements: readonly Announcement[] }
  | { readonly followers: readonly Follower[] }
  | { readonly done: true }
  | FailureMessage;

/** What is done when it is told so; a rejection is the answer, too. */
export interface ControlHandlers {
  /** Tells of each node that is done. Called again when that has ended. */
  changeProxyMode(mode: ProxyMode, tellNode: (node: string) => void): Promise<void>;
  announcements(): Promise<readonly Announcement[]>;
  followers(dnsPods: readonly Ip[]): Promise<readonly Follower[]>;
}

const socketName = 'control.sock';
/** A request is one short line. */
const maxRequest = 4096;
/** Pods that are asked; more would not fit into a request. */
const maxDnsPods = 64;
const requestTimeoutMs = 10_000;

/**
 * Serves requests on a socket in the cluster's folder, which only its owner can enter. What changes something is done
 * one at a time, in the order it comes. Gives a way to end.
 */
export function serveControl(paths: ClusterPaths, handlers: ControlHandlers): () => void {
  let last: Promise<unknown> = Promise.resolve();
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    socket.setTimeout(requestTimeoutMs, () => socket.destroy());
    readRequest(socket, (request) => {
      socket.setTimeout(0);
      if ('announcements' in request)
        void answer(socket, async (say) => say({ announcements: await handlers.announcements() }));
      else if ('followers' in request)
        void answer(socket, async (say) => say({ followers: await handlers.followers(request.followers.dnsPods) }));
      else
        last = last.then(() =>
          answer(socket, (say) => handlers.changeProxyMode(request.proxyMode, (node) => say({ node }))),
        );
    });
  });
  rmSync(`${paths.dir}/${socketName}`, { force: true });
  const folder = openSync(paths.dir, 'r');
  server.listen(shortPath(folder));
  return () => server.close(() => closeSync(folder));
}

/**
 * Moves the cluster to another mode, and resolves when that is done.
 * @throws SignalboxError what the supervisor says; `CLUSTER_NOT_RUNNING` when it does not answer
 */
export async function askForProxyMode(
  paths: ClusterPaths,
  proxyMode: ProxyMode,
  onNode: (node: string) => void,
): Promise<void> {
  await askSupervisor(paths, { proxyMode }, (reply) => {
    if ('node' in reply) onNode(reply.node);
  });
}

/**
 * Who announces which balancer's address.
 * @throws SignalboxError `CLUSTER_NOT_RUNNING` when the supervisor does not answer
 */
export async function askForAnnouncements(paths: ClusterPaths): Promise<readonly Announcement[]> {
  const all: Announcement[] = [];
  await askSupervisor(paths, { announcements: true }, (reply) => {
    if ('announcements' in reply) all.push(...reply.announcements);
  });
  return all;
}

/**
 * How far proxies and DNS servers have come, those of nodes and those in these Pods.
 * @throws SignalboxError `CLUSTER_NOT_RUNNING` when the supervisor does not answer
 */
export async function askForFollowers(paths: ClusterPaths, dnsPods: readonly Ip[]): Promise<readonly Follower[]> {
  const all: Follower[] = [];
  await askSupervisor(paths, { followers: { dnsPods: dnsPods.slice(0, maxDnsPods) } }, (reply) => {
    if ('followers' in reply) all.push(...reply.followers);
  });
  return all;
}

async function askSupervisor(
  paths: ClusterPaths,
  request: ControlRequest,
  onReply: (reply: ControlReply) => void,
): Promise<void> {
  const folder = openSync(paths.dir, 'r');
  try {
    const socket = createConnection(shortPath(folder));
    socket.write(`${JSON.stringify(request)}\n`);
    for await (const line of createInterface({ input: socket })) {
      const reply: ControlReply = JSON.parse(line);
      if ('failed' in reply) throw new SignalboxError(reply.failed.code, reply.failed);
      if ('done' in reply) return;
      onReply(reply);
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
    const request = JSON.parse(text);
    if (request.announcements === true) return { announcements: true };
    if (request.followers !== undefined)
      return { followers: { dnsPods: request.followers.dnsPods.map((ip: string) => parseIp(ip)) } };
    const proxyMode = proxyModes.find((mode) => mode === request.proxyMode);
    return proxyMode && { proxyMode };
  } catch {
    return undefined;
  }
}

async function answer(socket: Socket, work: (say: (reply: ControlReply) => void) => Promise<void>): Promise<void> {
  const say = (reply: ControlReply) => {
    if (socket.writable) socket.write(`${JSON.stringify(reply)}\n`);
  };
  try {
    await work(say);
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
