import { describe, expect, test } from 'vitest';
import { parseCorefileConfig } from './config.ts';

const surroundings = {
  readFile: () => {
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  },
  listFolder: () => [],
  environment: {},
};

/** Reads a Corefile of one block with these lines; what has braces is written on one line here, `;` between its lines. */
const read = (lines: string) =>
  parseCorefileConfig(
    `.:53 {\n${lines.replaceAll(' { ', ' {\n').replaceAll('; ', '\n').replace(/ \}$/, '\n}')}\n}`,
    'Corefile',
    surroundings,
  );

/** What CoreDNS takes, plugin by plugin, and what it does not. */
const forms: readonly (readonly [plugin: string, accepted: readonly string[], refused: readonly string[]])[] = [
  [
    'kubernetes cluster.local',
    [
      'endpoint http://localhost:9090',
      'endpoint https://one.test:8443 https://two.test:8443',
      'endpoint https://one.test:8443; tls cert key ca',
      'tls cert key ca; endpoint https://one.test:8443',
      'kubeconfig file',
      'kubeconfig file context',
      'namespaces demo test',
      'labels environment in (production, staging, qa),application=nginx',
      'namespace_labels istio-injection=enabled',
      'fallthrough ip6.arpa inaddr.arpa foo.com',
      'ttl 0',
      'ttl 3600',
      'ignore empty_service',
      'noendpoints',
    ],
    [
      'endpoint',
      'endpoint localhost:9090',
      'endpoint ftp://one.test',
      'tls cert key ca',
      'endpoint https://one.test; tls cert key',
      'endpoint https://one.test; kubeconfig file',
      'kubeconfig',
      'kubeconfig a b c',
      'namespaces',
      'namespaces a; namespace_labels b=c',
      'labels',
      'labels environment in (production, qa',
      'pods',
      'pods some',
      'endpoint_pod_names all',
      'noendpoints none',
      'ignore all',
      'ttl',
      'ttl -1',
      'ttl 3601',
      'resyncperiod 15s',
    ],
  ],
  [
    'forward . 127.0.0.1',
    [
      'except a.test b.test; max_fails 3',
      'force_tcp; prefer_udp',
      'health_check 0.5s domain example.org',
      'health_check 0.5s no_rec domain .',
      'tls',
      'tls_servername dns.test',
      'max_concurrent 1000',
      'failfast_all_unhealthy_upstreams',
      'failover SERVFAIL refused',
      'next NXDOMAIN SERVFAIL; next_on_nodata',
    ],
    [
      'blaatl',
      'except',
      'expire -1s',
      'force_tcp now',
      'health_check no_rec',
      'health_check 0.5s rec',
      'health_check 0.5s domain',
      'health_check 0.5s domain example..org',
      'max_fails -1',
      'max_concurrent many',
      'max_concurrent -4',
      'policy bla',
      'failover',
      'failover NOERROR',
      'failfast_all_unhealthy_upstreams now',
      'next',
      'next NOSUCHCODE',
      'next_on_nodata now',
      'tls a b c d',
    ],
  ],
  [
    'cache example.nl',
    [
      'success 10',
      'success 10 1800 30; denial 10 15 2',
      'success 0',
      'prefetch 10 2m 15%',
      'serve_stale',
      'serve_stale 0',
      'serve_stale 1h20m VERIFY',
      'serve_stale 0 immediate',
      'servfail 0',
      'servfail 5m',
      'disable denial; disable success a.test b.test',
      'keepttl',
    ],
    [
      'success',
      'denial aaa',
      'positive 15',
      'success 10 0',
      'success 10 10 -1',
      'prefetch -1',
      'prefetch 0 blurp',
      'prefetch 10 2m 15',
      'prefetch 10 2m 5%',
      'serve_stale 20',
      'serve_stale -20m',
      'serve_stale 1m nono',
      'serve_stale 0 verify 1s more',
      'servfail',
      'servfail 6m',
      'servfail 20',
      'servfail -1s',
      'servfail 1m more',
      'disable something a.test',
      'keepttl always',
    ],
  ],
  [
    'hosts /etc/hosts example.org',
    ['10.0.0.1 example.org; fallthrough', '::1 one.example.org two.example.org.', 'ttl 60; no_reverse; reload 0s'],
    ['ttl 0', 'ttl -1', 'ttl 65536', 'ttl long', 'ttl', 'reload -5s', 'reload', 'no_reverse all', 'more'],
  ],
  [
    'transfer example.net',
    ['to 1.2.3.4 5.6.7.8:1053 [1::2]:34', 'to * 1.2.3.4', 'to *; to 10.0.0.1'],
    ['', 'to', 'from *', 'to example.com 1.2.3.4'],
  ],
  [
    'errors',
    [
      'stacktrace',
      'consolidate 1m ^exact$; consolidate 5s "format error"',
      'consolidate 1m .* warning',
      'consolidate 1m .* warning show_first',
      'consolidate 1m .* show_first',
    ],
    [
      'log visible',
      'stacktrace always',
      'consolidate',
      'consolidate 1m',
      'consolidate 1m .* extra',
      'consolidate 1m .* warning extra',
      'consolidate 1m .* show_first warning',
      'consolidate soon .*',
      'consolidate 1 .*',
      'consolidate 1m ())',
    ],
  ],
  ['log example.org {common}', ['class all', 'class denial; class error'], ['class some', 'class', 'unknown']],
  ['bind 127.0.0.1 lo', ['except 127.0.0.2'], ['except', 'except lo', 'only 127.0.0.1']],
  ['health localhost:8080', ['lameduck 5s'], ['lameduck', 'lameduck 5', 'lamedudk 5s']],
  ['ready :8181', ['monitor until-ready', 'monitor continuously'], ['monitor', 'monitor 404', 'monitro continuously']],
];

const accepted = forms.flatMap(([plugin, options]) => options.map((option) => `${plugin} { ${option} }`));
const refused = forms.flatMap(([plugin, , options]) => options.map((option) => `${plugin} { ${option} }`));

describe('parseCorefileConfig: forms', () => {
  test.each([
    ...accepted,
    'kubernetes coredns.local 10.0.0.0/25 2001:db8::/32',
    'forward . 127.0.0.1:8080 [2003::1]:53 ::1 dns://127.0.0.1 tls://127.0.0.1:8853',
    'forward 10.9.3.0/18 127.0.0.1',
    'cache 25 example.nl example.org',
    'log',
    'log example.org example.net {combined}',
    'errors stdout',
    'bind localhost',
    'bind ::1 127.9.9.0',
    'prometheus localhost:9153',
    'reload 10s 5s',
    'loadbalance round_robin',
    'bufsize 1232',
  ])('takes %s', (lines) => {
    expect(read(lines).servers).toHaveLength(1);
  });

  test.each([
    ...refused,
    'kubernetes 10.in-addr.arpa',
    'kubernetes a.test; kubernetes b.test',
    'forward . a27.0.0.1',
    'forward . https://127.0.0.1',
    'forward . 127.0.0.1:70000',
    `forward ${'x'.repeat(64)} 127.0.0.1`,
    `forward . ${Array.from({ length: 16 }, (_, i) => `10.0.0.${i}`).join(' ')}`,
    'cache 0 example.nl',
    'cache -1 example.nl',
    'cache; cache',
    'hosts; hosts',
    'transfer',
    'errors errors.txt',
    'errors; errors',
    'bind',
    'bind 1.2.3.invalid',
    'ready bla',
    'ready localhost:1234 b',
    'health 8080',
    'prometheus a b',
    'reload 1s',
    'reload 10s 500ms',
    'reload 10s 1s 1s',
    'loop twice',
    'loadbalance fleeb',
    'bufsize 100',
    'bufsize 8000',
    'ttl 5',
    'metadata',
  ])('refuses %s, by line', (lines) => {
    expect(() => read(lines)).toThrow(/^Corefile:[2-5] .*INVALID_CONFIG/);
  });

  test('keeps a backslash before what is no quote, and is no end of one', () => {
    const [server] = read('errors { consolidate 1m "a\\\\"; consolidate 1m "\\.b \\"c\\"" }').servers;
    expect(server?.errors?.consolidate.map(({ pattern }) => pattern.source)).toEqual(['a\\\\', '\\.b "c"']);
  });
});
