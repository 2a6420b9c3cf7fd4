import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatResolvConf, parseResolvConf, resolverAddresses } from './resolv-conf.ts';

describe('parseResolvConf', () => {
  it('parseResolvConf reads what formatResolvConf writes', () => {
    const word = fc.stringMatching(/^[a-z0-9.:]{2,12}$/);
    const conf = fc.record({
      nameservers: fc.array(word),
      searches: fc.array(word.filter((w) => w !== '.')),
      options: fc.array(word),
    });
    fc.assert(
      fc.property(conf, (c) => {
        expect(parseResolvConf(formatResolvConf(c))).toEqual(c);
      }),
    );
  });

  it('parseResolvConf ignores comments, blanks and other keywords', () => {
    const text = '# c\n; c\n nameserver  10.0.0.1 # c\nsortlist x\ndomain a\nsearch b c\n\n';
    expect(parseResolvConf(text)).toEqual({ nameservers: ['10.0.0.1'], searches: ['b', 'c'], options: [] });
  });
});

describe('resolverAddresses', () => {
  it('resolverAddresses takes name servers in their order, and nothing else', () => {
    const text =
      '# nameserver 192.0.2.9\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1 # x\nnameserver fe80::1%eth0\nsearch a\noptions ndots:5\nnameserver host';
    expect(resolverAddresses(parseResolvConf(text))).toEqual(['192.0.2.1', '2001:db8::1']);
  });
});
