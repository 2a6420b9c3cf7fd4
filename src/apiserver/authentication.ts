import type { IncomingMessage } from 'node:http';
import type { TLSSocket } from 'node:tls';

/** Who sends a request. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
}

/** Finds out who sends a request; nothing when it cannot be known. */
export type Authenticator = (request: IncomingMessage) => User | undefined;

/** Who has proven to be someone. */
const authenticatedGroup = 'system:authenticated';

const known = new WeakMap<TLSSocket, User>();

/**
 * By client certificate of the cluster's authority: the common name is the user, organizations are the groups. The
 * authority itself was checked by TLS.
 */
export const authenticateByCertificate: Authenticator = (request) => {
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
};

/** A part of a name that stands several times comes as a list. */
function all(part: string | string[] | undefined): string[] {
  if (part === undefined || part === '') return [];
  return Array.isArray(part) ? part : [part];
}

function first(part: string | string[] | undefined): string | undefined {
  return all(part)[0];
}
