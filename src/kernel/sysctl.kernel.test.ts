import { describe, expect, test } from 'vitest';
import { openRoutes } from './links.ts';
import { readSysctl, writeSysctl } from './sysctl.ts';

describe('writeSysctl', () => {
  test('sets what readSysctl reads', () => {
    for (const value of ['1', 0]) {
      writeSysctl('net.ipv4.conf.lo.route_localnet', value);
      expect(readSysctl('net.ipv4.conf.lo.route_localnet')).toBe(`${value}`);
    }
  });

  test('takes a dot within a device name as a slash', () => {
    const routes = openRoutes();
    routes.createBridge({ name: 'br.7' });
    writeSysctl('net.ipv4.conf.br/7.rp_filter', 2);
    expect(readSysctl('net.ipv4.conf.br/7.rp_filter')).toBe('2');
    routes.deleteLink('br.7');
    routes.close();
  });

  test('names the parameter that is not there, or does not take the value', () => {
    expect(() => writeSysctl('net.ipv4.no_such', 1)).toThrow(
      'kernel parameter net.ipv4.no_such cannot be set to 1 (ENOENT): check the name',
    );
    expect(() => writeSysctl('net.ipv4.ip_forward', 'perhaps')).toThrow(
      /ip_forward cannot be set to perhaps \(EINVAL\)/,
    );
    expect(() => readSysctl('net.none')).toThrow(expect.objectContaining({ code: 'KERNEL_REFUSED' }));
  });
});
