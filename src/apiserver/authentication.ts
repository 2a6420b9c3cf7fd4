import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { ServiceAccountTokens } from './access/service-account-tokens.ts';
import { authenticatedGroup, type User } from './user.ts';

/** Finds out who sends a request; nothing when it cannot be known. */
export type Authenticator = (request: IncomingMessage) => User | undefined | Promise<User | undefined>;

const known = new WeakMap<TLSSocket, User>();

/**
 * By client certificate of the cluster's authority: the common name is the user, organizations are the groups. The
 * authority itself was checked by TLS.
 */
function authenticateByCertificate(request: IncomingMessage): User | undefined {
  const socket = request.socket as TLSSocket;
  if (socket.authorized !== true) return undefined;
  let user = known.get(socket);
  if (user === undefined) {
    const { subject } = socket.getPeerCertificate();
    const name = first(subject?.CN);
    if (name === undefined) return undefined;
    user = { name, groups: [...all(subject.O), authenticatedGroup] };
    known.set(socket, user);
  }
  return user;
}

/** By client certificate, or else by a service account's token, in a header or as WebSockets bring it. */
export function authenticateWith(tokens: ServiceAccountTokens): Authenticator {
  return async (request) => {
    const user = authenticateByCertificate(request);
    if (user !== undefined) return user;
    const [, bearer] = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '') ?? [];
    const token = bearer ?? takeProtocolToken(request);
    return token === undefined ? undefined : (await tokens.authenticate(token))?.user;
  };
}

const tokenProtocol = 'base64url.bearer.authorization.k8s.io.';

/**
 * The token that the opening of a WebSocket names among its protocols, as Kubernetes takes it from browsers: these can
 * set no other header. It is taken out of them, so that it is not agreed on and sent back; another one has to be left.
 */
function takeProtocolToken({ headers }: IncomingMessage): string | undefined {
  if (headers.upgrade?.toLowerCase() !== 'websocket') return undefined;
  const protocols = (headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
  const found = protocols.find((name) => name.startsWith(tokenProtocol));
  const others = protocols.filter((name) => !name.startsWith(tokenProtocol));
  if (found === undefined || others.length === 0) return undefined;
  headers['sec-websocket-protocol'] = others.join(', ');
  return Buffer.from(found.slice(tokenProtocol.length), 'base64url').toString();
}

/** A part of a name that stands several times comes as a list. */
function all(part: string | string[] | undefined): string[] {
  if (part === undefined || part === '') return [];
  return Array.isArray(part) ? part : [part];
}

function first(part: string | string[] | undefined): string | undefined {
  return all(part)[0];
}
