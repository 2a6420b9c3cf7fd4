import { describe, expect, test } from 'vitest';
import { parseResolvers } from './dns-relay.ts';

describe('parseResolvers', () => {
  test('takes the IPv4 nameservers in order and nothing else', () => {
    const text =
      '# nameserver 9.9.9.9\nsearch example.com\nnameserver 10.0.0.2\n nameserver\t192.0.2.1 # second\nnameserver fd00::1\nnameserver nonsense\noptions ndots:5\n';
    expect(parseResolvers(text)).toEqual(['10.0.0.2', '192.0.2.1']);
  });
});
