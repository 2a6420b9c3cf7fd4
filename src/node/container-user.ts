import { readFileSync } from 'node:fs';
import type { Container, Pod } from '../api/generated/types.ts';

import type { ContainerUser } from '../kernel/container.ts';
import { unsupported } from './pod-admission.ts';

/** Ranges of ids that exist in a user namespace: first and count. */
export type IdRanges = readonly { readonly first: number; readonly count: number }[];

/** The ids that processes of the calling process's user namespace can have: user_namespaces(7). */
export function ownIdRanges(kind: 'uid' | 'gid'): IdRanges {
  return parseIdMap(readFileSync(`/proc/self/${kind}_map`, 'utf8'));
}

/** Reads the text of a uid_map or gid_map file. */
export function parseIdMap(text: string): IdRanges {
  return text
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number))
    .flatMap(([first, , count]) => (first === undefined || count === undefined ? [] : [{ first, count }]));
}

/**
 * Whom a container runs as, by the security contexts of Pod and container; `undefined` for the agent's own user, which
 * is root, or what stands for root in a user namespace.
 * @throws SignalboxError `POD_UNSUPPORTED` for ids that do not exist here, and for `runAsNonRoot` without another user
 */
export function containerUser(
  pod: Pod,
  container: Container,
  exists: { readonly uids: IdRanges; readonly gids: IdRanges },
): ContainerUser | undefined {
  const context = { ...pod.spec?.securityContext, ...container.securityContext };
  const { runAsUser: uid = 0, runAsGroup: gid = 0 } = context;
  const groups = pod.spec?.securityContext?.supplementalGroups ?? [];
  const { fsGroup } = pod.spec?.securityContext ?? {};
  const supplementalGroups = [...new Set([...groups, ...(fsGroup === undefined ? [] : [fsGroup])])];
  if (context.runAsNonRoot === true && uid === 0) {
    throw unsupported(`container ${container.name}`, 'has runAsNonRoot, and would run as root', 'give it a runAsUser');
  }
  if (uid === 0 && gid === 0 && supplementalGroups.length === 0) return undefined;
  const missing = has(exists.uids, uid) ? [gid, ...supplementalGroups].find((id) => !has(exists.gids, id)) : uid;
  if (missing === undefined) return { uid, gid, supplementalGroups };
  throw unsupported(
    `container ${container.name}`,
    `is to run as user or group ${missing}, which does not exist in the user namespace of this cluster`,
    'leave runAsUser, runAsGroup and fsGroup out, or start the cluster as root',
  );
}

function has(ranges: IdRanges, id: number): boolean {
  return ranges.some(({ first, count }) => id >= first && id < first + count);
}
