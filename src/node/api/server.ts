import { readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { nodeApiClient, nodeApiConnect, nodeApiPaths, nodeApiPort } from '../../api/node-api.ts';
import type { Logger } from '../../component/log.ts';
import { SignalboxError } from '../../errors/error.ts';
import type { NodeApiFiles } from '../config.ts';
import { sendContainerLog } from './container-log.ts';
import type { NodeApiRequest, Upgrade } from './request.ts';
import { spdyUpgrade } from './spdy/upgrade.ts';
import { NodeApiError, type NodeApiHost } from './target.ts';

/** A node's API at work. */
export interface NodeApi {
  /** Ends all that is under way. */
  close(): void;
}

/**
 * Serves what an API server asks of a node: logs, programs run in containers, their streams, and connections to Pods,
 * with the paths of kubelet. Nobody but the API server is let in.
 * @throws SignalboxError `LISTEN_FAILED`, `PKI_UNREADABLE`
 */
export async function startNodeApi(
  files: NodeApiFiles,
  host: NodeApiHost & { readonly log: Logger },
  port = nodeApiPort,
): Promise<NodeApi> {
  const { certFile, keyFile, clientCaFile } = files;
  const [cert, key, ca] = [certFile, keyFile, clientCaFile].map(readPem);
  const server = createServer({ cert, key, ca, requestCert: true, minVersion: 'TLSv1.2' }, (request, response) => {
    answer(request, response, host).catch((error) => refuse(response, error, host.log));
  });
  const sockets = new Set<Duplex>();
  server.on('upgrade', (request, socket, head) => {
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    const isSpdy = request.headers.upgrade?.toLowerCase() === spdyUpgrade;
    upgrade({ request, socket, head, isSpdy }, host).catch((error) => refuseUpgrade(socket, error, host.log));
  });
  await listen(server, port);
  return {
    close: () => {
      server.close();
      server.closeAllConnections();
      for (const socket of sockets) socket.destroy();
    },
  };
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new SignalboxError('PKI_UNREADABLE', {
      object: path,
      problem: 'cannot be read',
      remedy: 'name the certificates of the node in `api` of its configuration',
      cause,
    });
  }
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) => {
      const remedy = `stop what uses port ${port} of the node`;
      const problem = `cannot be listened on (${cause.message})`;
      reject(new SignalboxError('LISTEN_FAILED', { object: `port ${port}`, problem, remedy, cause }));
    });
    server.listen(port, resolve);
  });
}

async function answer(request: IncomingMessage, response: ServerResponse, host: NodeApiHost): Promise<void> {
  authorize(request);
  if (request.url === '/healthz') {
    response.end('ok');
    return;
  }
  const asked = readRequest(request.url ?? '/');
  if (asked.action !== nodeApiPaths.log)
    throw new NodeApiError(400, 'a connection upgrade to WebSocket or SPDY/3.1 is expected here');
  await sendContainerLog(asked, response, host);
}

async function upgrade(connection: Upgrade, host: NodeApiHost): Promise<void> {
  authorize(connection.request);
  const asked = readRequest(connection.request.url ?? '/');
  if (asked.action === nodeApiConnect.action) {
    const { connectToPod } = await import('./connect.ts');
    return connectToPod(asked, connection, host);
  }
  if (!connection.isSpdy && connection.request.headers.upgrade?.toLowerCase() !== 'websocket') {
    throw new NodeApiError(400, 'only WebSocket and SPDY/3.1 are spoken here');
  }
  // Few Pods are ever entered.
  if (asked.action === nodeApiPaths.portforward) {
    const { forwardPorts } = await import('./port-forward.ts');
    return forwardPorts(asked, connection, host);
  }
  const { runSession } = await import('./session.ts');
  if (asked.action === nodeApiPaths.exec || asked.action === nodeApiPaths.attach) {
    return runSession(asked, connection, host);
  }
  throw new NodeApiError(404, 'there is nothing at this path');
}

/** The authority has certified many: every node, every component. */
function authorize(request: IncomingMessage): void {
  const user = (request.socket as TLSSocket).getPeerCertificate().subject?.CN;
  if (user !== nodeApiClient) throw new NodeApiError(403, `Forbidden (user=${user})`);
}

function readRequest(url: string): NodeApiRequest {
  const { pathname, searchParams } = new URL(url, 'https://node');
  const [, action = '', namespace = '', pod = '', container = ''] = pathname.split('/').map(decodeURIComponent);
  return { action, namespace, pod, container, query: searchParams };
}

function refuse(response: ServerResponse, error: unknown, log: Logger): void {
  if (response.headersSent) {
    response.destroy();
    return;
  }
  const { code, message } = toAnswer(error, log);
  response.writeHead(code, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(message);
}

function refuseUpgrade(socket: Duplex, error: unknown, log: Logger): void {
  const { code, message } = toAnswer(error, log);
  const head = `HTTP/1.1 ${code} Refused\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n`;
  socket.end(`${head}Content-Length: ${Buffer.byteLength(message)}\r\n\r\n${message}`);
}

function toAnswer(error: unknown, log: Logger): { readonly code: number; readonly message: string } {
  if (error instanceof NodeApiError) return error;
  if (error instanceof URIError || error instanceof TypeError) return { code: 400, message: 'the path cannot be read' };
  log.warn({ err: error }, 'a request to the node failed');
  return { code: 500, message: error instanceof Error ? error.message : String(error) };
}
