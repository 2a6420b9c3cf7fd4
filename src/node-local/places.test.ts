import { describe, expect, test } from 'vitest';
import { parseCorefileConfig } from '../dns/config/corefile/config.ts';
import { parseDnsConfig } from '../dns/config/fields.ts';
import type { DnsConfig } from '../dns/config/types.ts';
import { parseIp } from '../net/ip.ts';
import { readNodeLocalConfig } from './config.ts';
import { addressesOf, atNode, parseAddresses, placesOf } from './places.ts';

function corefile(text: string): DnsConfig {
  const nothing = () => {
    throw new Error('there is no file');
  };
  return parseCorefileConfig(text, 'Corefile', { readFile: nothing, listFolder: nothing, environment: {} });
}

const listening = ({ servers }: DnsConfig) =>
  servers.map(({ listen }) => listen.map(({ ip, port }) => `${ip} ${port}`));

describe('atNode', () => {
  test('has what listens everywhere listen at 169.254.20.10, or where it is told', () => {
    const config = corefile('.:53 {\n}\nexample.org:5353 {\n}\n');
    expect(listening(atNode(config, undefined))).toEqual([['169.254.20.10 53'], ['169.254.20.10 5353']]);
    const addresses = ['169.254.20.11', 'fd00::10'].map(parseIp);
    expect(listening(atNode(config, addresses))).toEqual([
      ['169.254.20.11 53', 'fd00::10 53'],
      ['169.254.20.11 5353', 'fd00::10 5353'],
    ]);
    const everywhere = parseDnsConfig({ listen: ['0.0.0.0', '::'].map((address) => ({ address, port: 53 })) });
    expect(listening(atNode(everywhere, undefined))).toEqual([['169.254.20.10 53']]);
    expect(listening(atNode(parseDnsConfig({}), undefined))).toEqual([['169.254.20.10 53']]);
  });

  test('leaves a block the addresses it names, as in a Corefile of NodeLocal DNSCache', () => {
    const config = corefile(
      '.:53 {\n bind 169.254.20.10 10.96.0.10\n forward . /etc/resolv.conf {\n force_tcp\n }\n}\n',
    );
    expect(atNode(config, undefined)).toEqual(config);
    expect([...addressesOf(config)]).toEqual(['169.254.20.10', '10.96.0.10']);
  });

  test('refuses addresses that would have no effect', () => {
    expect(() => atNode(corefile('.:53 {\n bind 127.0.0.1\n}\n'), undefined)).toThrow('no address that Pods could ask');
    const config = corefile('.:53 {\n bind 169.254.20.10\n}\n');
    expect(() => atNode(config, [parseIp('169.254.20.11')])).toThrow(
      expect.objectContaining({ code: 'INVALID_CONFIG' }),
    );
  });
});

describe('placesOf', () => {
  test('names each address, port and protocol once; of DNS over TLS there is TCP alone', () => {
    const config = corefile(
      'a.example:53 b.example:53 {\n bind 169.254.20.10 127.0.0.1\n}\nc.example:53 {\n bind 169.254.20.10\n}\n',
    );
    expect(placesOf(config)).toEqual([
      { ip: '169.254.20.10', port: 53, protocol: 'udp' },
      { ip: '169.254.20.10', port: 53, protocol: 'tcp' },
    ]);
    const secure = corefile('tls://.:853 {\n bind 169.254.20.10\n tls cert.pem key.pem\n}\n');
    expect(placesOf(secure)).toEqual([{ ip: '169.254.20.10', port: 853, protocol: 'tcp' }]);
  });

  test("leaves out the machine's own addresses, which no device is given", () => {
    expect([...addressesOf(corefile('.:53 {\n bind 127.0.0.1 ::1\n}\n'))]).toEqual([]);
  });
});

describe('parseAddresses', () => {
  test('reads a list, each address once', () => {
    expect(parseAddresses('169.254.20.10')).toEqual(['169.254.20.10']);
    expect(parseAddresses('169.254.20.10, FD00::0010,169.254.20.10')).toEqual(['169.254.20.10', 'fd00::10']);
  });

  test.each(['', '169.254.20', '169.254.20.10,', '127.0.0.1', '::1', '0.0.0.0', '::', '169.254.20.10/32', 'eth0'])(
    'refuses %j',
    (text) => {
      expect(() => parseAddresses(text)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
    },
  );
});

describe('readNodeLocalConfig', () => {
  test('without a file has pages at the first of the addresses, where only the node and its Pods see them', async () => {
    const { config } = await readNodeLocalConfig(undefined, parseAddresses('169.254.20.11,10.96.0.10'));
    expect(config.health).toMatchObject({ ip: '169.254.20.11', port: 8080 });
    expect(config.ready).toEqual({ ip: '169.254.20.11', port: 8181 });
    expect(config.metrics).toEqual([{ ip: '169.254.20.11', port: 9253 }]);
    expect((await readNodeLocalConfig(undefined)).config.ready).toEqual({ ip: '169.254.20.10', port: 8181 });
  });
});
