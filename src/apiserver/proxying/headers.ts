import type { IncomingMessage } from 'node:http';
import { badRequest } from '../status.ts';

/** Names and values in turn, as they stand on the wire. */
export type HeaderList = string[];

/** What has to be known of a message to pass its headers on. */
export type HeaderSource = Pick<IncomingMessage, 'method' | 'headers' | 'rawHeaders'> & {
  readonly socket: Pick<IncomingMessage['socket'], 'remoteAddress'>;
};

/** Headers that are about one connection (RFC 9110, 7.6.1), beside those that `Connection` names. */
const hopByHop: ReadonlySet<string> = new Set([
  'connection',
  'keep-alive',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** What is said to the API server alone: who the client is, and that it waits for leave to send a body. */
const forApiServer =
  /^(authorization|expect|impersonate-(user|group|uid|extra-.*)|x-remote-(user|group|uid|extra-.*))$/;

/** What the proxy says itself: `framing` says how long the body is. */
const ownHeaders: ReadonlySet<string> = new Set(['content-length', 'host', 'x-forwarded-for', 'x-forwarded-uri']);

/** Whether other origins may read answers is the API server's to say. */
const crossOrigin = /^access-control-allow-(credentials|headers|methods|origin)$/;

/** The way of a request through the proxy. */
export interface Forwarding {
  /** Path by which the client asked. */
  readonly uri: string;
  /** Stands for the client's when it named none. */
  readonly host: string;
}

/**
 * The headers of a request as they go on: without those of the connection and without what makes out who the client is,
 * with `X-Forwarded-For` and `X-Forwarded-Uri` as Kubernetes sets them.
 * @throws StatusError 400 for a body that is coded for transfer in another way than by chunks
 */
export function forwardedHeaders(request: HeaderSource, { uri, host }: Forwarding): HeaderList {
  const dropped = connectionHeaders(request);
  const isForwarded = (name: string) =>
    !hopByHop.has(name) && !dropped.has(name) && !ownHeaders.has(name) && !forApiServer.test(name);
  const before = request.headers['x-forwarded-for'];
  const client = request.socket.remoteAddress ?? '';
  return [
    ...['Host', request.headers.host ?? host],
    ...filtered(request.rawHeaders, isForwarded),
    ...['X-Forwarded-For', [before ?? [], client].flat().join(', ')],
    ...['X-Forwarded-Uri', uri],
    ...framing(request),
  ];
}

/** What becomes of a header's value: another one, or, with `undefined`, nothing. Names come in lower case. */
export type HeaderChange = (name: string, value: string) => string | undefined;

/** The headers of an answer as they go back. */
export function returnedHeaders(answer: HeaderSource, change?: HeaderChange): HeaderList {
  const dropped = connectionHeaders(answer);
  const isReturned = (name: string) => !hopByHop.has(name) && !dropped.has(name) && !crossOrigin.test(name);
  return filtered(answer.rawHeaders, isReturned, change);
}

/** Says anew how long the body is, so that nobody takes a part of it for the next request (RFC 9112, 11.2). */
function framing({ method = '', headers }: HeaderSource): HeaderList {
  const encoding = headers['transfer-encoding'];
  const length = headers['content-length'];
  if (encoding !== undefined) {
    if (encoding.trim().toLowerCase() !== 'chunked') throw badRequest(`transfer encoding ${encoding} is not supported`);
    return ['Transfer-Encoding', 'chunked'];
  }
  if (length !== undefined) return ['Content-Length', length];
  return ['POST', 'PUT', 'PATCH'].includes(method) ? ['Content-Length', '0'] : [];
}

function connectionHeaders({ headers }: HeaderSource): ReadonlySet<string> {
  return new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
}

function filtered(
  rawHeaders: readonly string[],
  isKept: (name: string) => boolean,
  change: HeaderChange = (_, value) => value,
): HeaderList {
  const kept: HeaderList = [];
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const [name = '', value = ''] = rawHeaders.slice(i, i + 2);
    const changed = isKept(name.toLowerCase()) ? change(name.toLowerCase(), value) : undefined;
    if (changed !== undefined) kept.push(name, changed);
  }
  return kept;
}
