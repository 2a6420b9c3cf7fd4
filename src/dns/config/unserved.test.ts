import { describe, expect, test } from 'vitest';
import { parseDnsConfig } from './fields.ts';
import { requireServed } from './unserved.ts';

const check = (block: object) => {
  for (const server of parseDnsConfig({ servers: [block] }).servers) requireServed(server);
};

describe('requireServed', () => {
  test.each([
    [{ listen: [{ port: 853, transport: 'tls' }] }, /^listening for DNS over TLS is not done yet.*INVALID_CONFIG/],
    [{ hosts: {} }, /^hosts/],
    [{ cache: { prefetch: { amount: 1 } } }, /^prefetch/],
    [{ forward: [{ to: ['tls://192.0.2.1'] }] }, /^asking over TLS/],
    [{ forward: [{ to: ['192.0.2.1'], policy: 'round_robin' }] }, /^policy round_robin/],
    [{ cache: { servfail: '1s' } }, /^servfail/],
  ])('refuses %j', (block, message) => {
    expect(() => check(block)).toThrow(message);
  });

  test('lets the rest pass', () => {
    expect(() => check({ cache: {}, forward: [{ to: ['192.0.2.1'] }] })).not.toThrow();
  });
});
