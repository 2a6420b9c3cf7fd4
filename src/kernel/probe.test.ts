import { describe, expect, test } from 'vitest';
import { userNamespacesForbidden } from './probe.ts';

describe('userNamespacesForbidden', () => {
  test('names each setting in the way and how to change it', () => {
    const settings = new Map([
      ['kernel.unprivileged_userns_clone', '1'],
      ['user.max_user_namespaces', '0'],
      ['kernel.apparmor_restrict_unprivileged_userns', '1'],
    ]);
    const error = userNamespacesForbidden('unshare failed', (name) => settings.get(name));
    expect(error.code).toBe('USER_NAMESPACES_FORBIDDEN');
    expect(error.message).toBe(
      'user namespaces are not allowed here (user.max_user_namespaces=0, ' +
        'kernel.apparmor_restrict_unprivileged_userns=1): run sudo sysctl -w user.max_user_namespaces=15000 && ' +
        'sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0, or run as root [USER_NAMESPACES_FORBIDDEN]',
    );
  });

  test('gives the reason when no known setting is in the way', () => {
    const error = userNamespacesForbidden('unshare: Operation not permitted', () => undefined);
    expect(error.problem).toBe('are not allowed here (unshare: Operation not permitted)');
  });
});
