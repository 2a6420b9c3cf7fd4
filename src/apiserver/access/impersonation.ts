import type { IncomingHttpHeaders } from 'node:http';
import { badRequest } from '../status.ts';
import { authenticatedGroup, type User } from '../user.ts';
import type { Authorizer } from './authorizer.ts';
import { groups as apiGroups } from './rules.ts';
import { parseServiceAccountUser, serviceAccountGroups } from './service-account-name.ts';

const extraPrefix = 'impersonate-extra-';
const anonymous = 'system:anonymous';

/**
 * The one as whom a request is to be taken (`kubectl --as`), after the sender's right to act as each part of that one
 * was checked; the sender when no such header is there.
 * @throws StatusError 400, 403
 */
export function impersonate(user: User, headers: IncomingHttpHeaders, authorizer: Authorizer): User {
  const name = one(headers['impersonate-user']);
  const uid = one(headers['impersonate-uid']);
  const groups = listOf(headers['impersonate-group']);
  const extra = extraOf(headers);
  if (name === '') {
    if (uid === '' && groups.length === 0 && Object.keys(extra).length === 0) return user;
    throw badRequest('requested without impersonating a user: the header Impersonate-User is missing');
  }
  const require = (group: string, resource: string, at: { name: string; namespace?: string; subresource?: string }) =>
    authorizer.require({
      user,
      attributes: { verb: 'impersonate', group, resource, subresource: '', namespace: '', ...at },
      fields: new Map(),
    });
  const account = parseServiceAccountUser(name);
  if (account !== undefined) require(apiGroups.core, 'serviceaccounts', account);
  else require(apiGroups.core, 'users', { name });
  for (const group of groups) require(apiGroups.core, 'groups', { name: group });
  if (uid !== '') require(apiGroups.authentication, 'uids', { name: uid });
  for (const [key, values] of Object.entries(extra)) {
    for (const value of values) require(apiGroups.authentication, 'userextras', { name: value, subresource: key });
  }
  return {
    name,
    groups: allGroups(name, groups.length === 0 && account ? serviceAccountGroups(account.namespace) : groups),
    ...(uid === '' ? {} : { uid }),
    ...(Object.keys(extra).length === 0 ? {} : { extra }),
  };
}

/** Who is somebody is authenticated. */
function allGroups(name: string, groups: readonly string[]): string[] {
  if (name === anonymous) return [...new Set([...groups, 'system:unauthenticated'])];
  return [...new Set([...groups, authenticatedGroup])];
}

function extraOf(headers: IncomingHttpHeaders): { [key: string]: string[] } {
  const extra: { [key: string]: string[] } = {};
  for (const [header, value] of Object.entries(headers)) {
    if (!header.startsWith(extraPrefix)) continue;
    extra[decodeKey(header.slice(extraPrefix.length))] = listOf(value);
  }
  return extra;
}

function decodeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

function one(value: string | string[] | undefined): string {
  return listOf(value)[0] ?? '';
}

/** Node joins the values of a header that came several times. */
function listOf(value: string | string[] | undefined): string[] {
  if (value === undefined) return [];
  return Array.isArray(value) ? value : value.split(', ');
}
