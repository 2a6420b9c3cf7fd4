import { describe, expect, it } from 'vitest';
import type { PodSecurityContext, SecurityContext } from '../api/generated/types.ts';
import { containerUser, parseIdMap } from './container-user.ts';

const everyone = { uids: parseIdMap('         0          0 4294967295\n'), gids: parseIdMap('0 0 4294967295') };
const rootOnly = { uids: parseIdMap('0 1000 1\n'), gids: parseIdMap('0 1000 1\n') };

function user(pod: PodSecurityContext, container: SecurityContext, exists = everyone) {
  return containerUser(
    { spec: { containers: [], securityContext: pod } },
    { name: 'c', securityContext: container },
    exists,
  );
}

describe('containerUser', () => {
  it('containerUser is that of the agent unless told, and the container is asked before the Pod', () => {
    expect(user({}, {})).toBeUndefined();
    expect(user({ runAsUser: 5 }, {})).toEqual({ uid: 5, gid: 0, supplementalGroups: [] });
    expect(user({ runAsUser: 5, supplementalGroups: [7], fsGroup: 9 }, { runAsUser: 6, runAsGroup: 8 })).toEqual({
      uid: 6,
      gid: 8,
      supplementalGroups: [7, 9],
    });
  });

  it('containerUser refuses users that do not exist in the user namespace', () => {
    expect(user({ runAsUser: 0 }, {}, rootOnly)).toBeUndefined();
    expect(() => user({ runAsUser: 1000 }, {}, rootOnly)).toThrow(
      /user or group 1000, which does not exist in the user namespace/,
    );
    expect(() => user({ fsGroup: 3 }, {}, rootOnly)).toThrow(/group 3/);
  });

  it('containerUser refuses root where runAsNonRoot is asked for', () => {
    expect(() => user({ runAsNonRoot: true }, {})).toThrow(/runAsNonRoot/);
    expect(user({ runAsNonRoot: true, runAsUser: 5 }, {})).toMatchObject({ uid: 5 });
  });
});
