import { execFileSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { runTypeScript } from '../../test/run-typescript.ts';
import { isSignalboxError } from '../errors/error.ts';
import { openRoutes } from './links.ts';
import { netnsIdentity } from './netns.ts';
import { type KernelFeature, requireKernelFeature, requireNamespaces, requireUserNamespaces } from './probe.ts';

describe('requireUserNamespaces', () => {
  test('agrees with what an attempt shows', () => {
    expect(() => requireUserNamespaces()).not.toThrow();
    expect(execFileSync('unshare', ['--user', '--map-root-user', 'id', '-u'], { encoding: 'utf8' })).toBe('0\n');
  });

  test('fails in time and names the setting where the limit is zero', () => {
    // The limit is the user namespace's own: it forbids further ones below it.
    const source = `
      import { writeSysctl } from './src/kernel/sysctl.ts';
      import { requireUserNamespaces } from './src/kernel/probe.ts';
      writeSysctl('user.max_user_namespaces', 0);
      try { requireUserNamespaces(); } catch (error) { console.log((error as Error).message); }`;
    const { stdout } = runTypeScript(source, ['unshare', '--user', '--map-root-user']);
    expect(stdout).toMatch(/^user namespaces are not allowed here \(user\.max_user_namespaces=0\): run sudo sysctl -w/);
  });
});

describe('requireNamespaces', () => {
  test('passes here, and fails for one without the capability', () => {
    expect(() => requireNamespaces()).not.toThrow();
    const source = `
      import { requireNamespaces } from './src/kernel/probe.ts';
      try { requireNamespaces(); } catch (error) { console.log((error as { code: string }).code); }`;
    const { stdout } = runTypeScript(source, ['setpriv', '--bounding-set=-sys_admin', '--inh-caps=-sys_admin']);
    expect(stdout).toBe('NAMESPACE_FAILED\n');
  });
});

describe('requireKernelFeature', () => {
  const features: readonly KernelFeature[] = ['nftables', 'conntrack', 'bridge', 'veth', 'dummy', 'ipvs', 'ipset'];

  test.each(features)('%s: passes or says what is missing, the second time as the first', (feature) => {
    const outcome = () => {
      try {
        requireKernelFeature(feature);
        return 'usable';
      } catch (error) {
        return error;
      }
    };
    const first = outcome();
    expect(outcome()).toBe(first);
    if (first !== 'usable') {
      expect(isSignalboxError(first) && first.message).toMatch(/modprobe .*\[KERNEL_LACKS_/);
    }
  });

  test('nftables, bridge and veth are here: nothing of Signalbox works without', () => {
    for (const feature of ['nftables', 'bridge', 'veth', 'conntrack'] as const) {
      expect(() => requireKernelFeature(feature)).not.toThrow();
    }
  });

  test('leaves the thread and its network as they were', () => {
    const before = netnsIdentity();
    requireKernelFeature('bridge');
    const routes = openRoutes();
    expect(routes.listLinks().map((link) => link.name)).toEqual(['lo']);
    expect(netnsIdentity()).toBe(before);
    routes.close();
  });
});
