import { describe, expect, test } from 'vitest';
import { parseForwardTarget } from './forward-target.ts';

const nine = { kind: 'server', ip: '9.9.9.9', transport: 'tls' };
const six = { kind: 'server', ip: '2620:fe::9', transport: 'tls' };
const serverName = 'dns.quad9.net';

describe('parseForwardTarget', () => {
  test.each([
    ['9.9.9.9', { ...nine, port: 53, transport: 'dns' }],
    ['dns://9.9.9.9:5353', { ...nine, port: 5353, transport: 'dns' }],
    ['tls://9.9.9.9', { ...nine, port: 853 }],
    ['tls://9.9.9.9:53', { ...nine, port: 53 }],
    ['tls://2620:fe::9', { ...six, port: 853 }],
    ['tls://[2620:fe::9]:10853', { ...six, port: 10_853 }],
    ['tls://9.9.9.9%dns.quad9.net', { ...nine, port: 853, serverName }],
    ['tls://9.9.9.9%dns.quad9.net:10853', { ...nine, port: 10_853, serverName }],
    ['tls://2620:fe::9%dns.quad9.net', { ...six, port: 853, serverName }],
    ['tls://2620:fe::9%dns.quad9.net:10853', { ...six, port: 10_853, serverName }],
    ['tls://[2620:fe::9%dns.quad9.net]:10853', { ...six, port: 10_853, serverName }],
    ['/etc/resolv.conf', { kind: 'resolvConf', path: '/etc/resolv.conf' }],
  ])('reads %s', (text, target) => {
    expect(parseForwardTarget(text)).toEqual(target);
  });

  test.each([
    '9.9.9.9%dns.quad9.net',
    'dns://9.9.9.9%eth0',
    'tls://9.9.9.9%',
    'tls://%dns.quad9.net',
    'tls://9.9.9.9%a:0',
  ])('refuses %s', (text) => {
    expect(() => parseForwardTarget(text)).toThrow(/INVALID_CONFIG/);
  });
});
