import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../../net/cidr.ts';
import { name } from '../../testing/objects.ts';
import { formatName, rootName } from '../../wire/name.ts';
import { parseCorefileConfig } from './config.ts';

const nothing = {
  readFile: () => {
    throw Object.assign(new Error('no such file'), { code: 'ENOENT' });
  },
  listFolder: () => {
    throw Object.assign(new Error('no such folder'), { code: 'ENOENT' });
  },
  environment: {},
};

const parse = (text: string, surroundings: Partial<typeof nothing> = {}) =>
  parseCorefileConfig(text, 'Corefile', { ...nothing, ...surroundings });

const cluster = [name('cluster.local'), name('in-addr.arpa'), name('ip6.arpa')];
const reverse = cluster.slice(1);

/** As kubeadm writes it. */
const kubeadm = `.:53 {
    errors
    health {
       lameduck 5s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
       pods insecure
       fallthrough in-addr.arpa ip6.arpa
       ttl 30
    }
    prometheus :9153
    forward . /etc/resolv.conf {
       max_concurrent 1000
    }
    cache 30 {
       disable success cluster.local
       disable denial cluster.local
    }
    loop
    reload
    loadbalance
}
`;

/** As k3s has it, whose additions may not be there. */
const k3s = `.:53 {
    errors
    health
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
      pods insecure
      fallthrough in-addr.arpa ip6.arpa
    }
    hosts /etc/coredns/NodeHosts {
      ttl 60
      reload 15s
      fallthrough
    }
    prometheus :9153
    cache 30
    loop
    reload
    loadbalance
    import /etc/coredns/custom/*.override
    forward . /etc/resolv.conf
}
import /etc/coredns/custom/*.server
`;

/** A cache on each node, as the add-on for it writes its file. */
const nodeLocal = `cluster.local:53 {
    errors
    cache {
            success 9984 30
            denial 9984 5
    }
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.200.1 {
            force_tcp
    }
    prometheus :9253
    health 169.254.20.10:8080
    }
in-addr.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.200.1 {
            force_tcp
    }
    prometheus :9253
    }
ip6.arpa:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . 10.96.200.1 {
            force_tcp
    }
    prometheus :9253
    }
.:53 {
    errors
    cache 30
    reload
    loop
    bind 169.254.20.10 10.96.0.10
    forward . /etc/resolv.conf
    prometheus :9253
    }
`;

/** With a line of each plugin, and a stub domain, as on clusters that are looked after by hand. */
const byHand = `# our own
(common) {
  errors {
    consolidate 5m ".* i/o timeout$" warning
  }
  log . "{remote} {name} {rcode}" {
    class denial error
  }
  bufsize 1232
  loadbalance round_robin
}
example.org, 10.1.0.0/16,
internal.test:5353 {
  import common
  forward . tls://9.9.9.9 192.0.2.7:5300 {
    except a.example.org b.example.org
    policy round_robin
    max_fails 3
    expire 20s
    health_check 1s no_rec domain health.test
    tls_servername dns.quad9.net
    tls /ca.pem
    prefer_udp
  }
}
tls://.:853 {
  import common
  tls /cert.pem /key.pem /clients.pem {
    client_auth require_and_verify
  }
  bind 127.0.0.1 ::1
  kubernetes cluster.local 10.96.0.0/15 {
    namespaces shop web
    labels "app in (a, b),tier!=x"
    endpoint_pod_names
    noendpoints
    ignore empty_service
    pods verified
    kubeconfig /etc/kubeconfig
  }
  transfer cluster.local {
    to 192.0.2.1 2001:db8::1 10.1.0.0/16
  }
  cache 60 . {
    success 5000 120 10
    prefetch 10 2m 20%
    serve_stale 30m verify 100ms
    servfail 10s
    keepttl
    disable denial bad.test
  }
  hosts {
    10.0.0.1 one.test uno.test # first
    fd00::1 one.test
    no_reverse
    reload 0
    fallthrough one.test
  }
  forward . {$UPSTREAMS} 8.8.4.4 {
  }
}
`;

describe('parseCorefileConfig', () => {
  test("reads kubeadm's, all of it", () => {
    const config = parse(kubeadm);
    expect(config).toMatchObject({
      health: { ip: undefined, port: 8080, lameduckMs: 5_000 },
      ready: { ip: undefined, port: 8181 },
      metrics: [{ ip: undefined, port: 9153 }],
      reload: { intervalMs: 30_000, jitterMs: 15_000 },
      maxUdpSize: 1232,
    });
    expect(config.servers).toEqual([
      {
        zones: [rootName],
        listen: [{ ip: undefined, port: 53, transport: 'dns' }],
        tls: undefined,
        errors: { consolidate: [] },
        log: [],
        loadbalance: true,
        loop: true,
        hosts: undefined,
        cache: {
          zones: [rootName],
          success: { capacity: 9984, maxTtl: 30, minTtl: 5 },
          denial: { capacity: 9984, maxTtl: 30, minTtl: 5 },
          servfailMs: 5_000,
          prefetch: undefined,
          serveStale: undefined,
          disableSuccess: [name('cluster.local')],
          disableDenial: [name('cluster.local')],
          keepTtl: false,
        },
        kubernetes: {
          zones: cluster,
          ttl: 30,
          pods: 'insecure',
          endpointPodNames: false,
          namespaces: [],
          namespaceLabels: undefined,
          labels: undefined,
          noEndpoints: false,
          ignoreEmptyService: false,
          fallthrough: reverse,
          nameServer: 'kube-system/kube-dns',
        },
        transfer: [],
        forward: [
          {
            from: rootName,
            to: [{ kind: 'resolvConf', path: '/etc/resolv.conf' }],
            except: [],
            tls: { certFile: undefined, keyFile: undefined, caFile: undefined, serverName: undefined },
            policy: 'random',
            maxFails: 2,
            healthCheckMs: 500,
            healthCheckRecursion: true,
            healthCheckDomain: rootName,
            expireMs: 10_000,
            maxConcurrent: 1000,
            forceTcp: false,
            preferUdp: false,
            failover: [],
            failFast: false,
            next: [],
            nextOnNoData: false,
          },
        ],
      },
    ]);
  });

  test("reads k3s's, with additions and without", () => {
    const [block, ...more] = parse(k3s).servers;
    expect(more).toEqual([]);
    expect(block).toMatchObject({
      hosts: { file: '/etc/coredns/NodeHosts', ttl: 60, reloadMs: 15_000, fallthrough: [rootName], reverse: true },
      kubernetes: { pods: 'insecure', ttl: 5 },
    });
    const files: { readonly [path: string]: string } = {
      '/etc/coredns/custom/a.override': 'log',
      '/etc/coredns/custom/b.server': 'corp.test:53 {\n  forward . 10.9.9.9\n}',
    };
    const additions = {
      readFile: (path: string) => files[path] ?? nothing.readFile(),
      listFolder: () => ['..data', 'b.server', 'a.override'],
    };
    const [added, stub] = parseCorefileConfig(k3s, 'Corefile', { ...nothing, ...additions }).servers;
    expect(added?.log).toMatchObject([{ zones: [rootName], classes: [] }]);
    expect(stub).toMatchObject({
      zones: [name('corp.test')],
      forward: [{ from: rootName, to: [{ ip: '10.9.9.9', port: 53 }] }],
    });
  });

  test('reads that of a cache on each node: four blocks, two addresses', () => {
    const config = parse(nodeLocal);
    expect(config.health).toEqual({ ip: '169.254.20.10', port: 8080, lameduckMs: 0 });
    expect(config.ready).toBeUndefined();
    expect(config.metrics).toEqual([{ ip: undefined, port: 9253 }]);
    expect(config.servers.map(({ zones }) => zones.map(formatName))).toEqual([
      ['cluster.local.'],
      ['in-addr.arpa.'],
      ['ip6.arpa.'],
      ['.'],
    ]);
    for (const { listen } of config.servers)
      expect(listen).toEqual([
        { ip: '169.254.20.10', port: 53, transport: 'dns' },
        { ip: '10.96.0.10', port: 53, transport: 'dns' },
      ]);
    expect(config.servers[0]).toMatchObject({
      cache: { success: { capacity: 9984, maxTtl: 30 }, denial: { maxTtl: 5, minTtl: 5 } },
      forward: [{ forceTcp: true, to: [{ ip: '10.96.200.1' }] }],
      kubernetes: undefined,
    });
  });

  test('reads every plugin and option there is', () => {
    const { servers, kubeconfig } = parse(byHand, { environment: { UPSTREAMS: '8.8.8.8' } });
    expect(kubeconfig).toBe('/etc/kubeconfig');
    expect(servers.map(({ zones, listen }) => [zones.map(formatName), listen])).toEqual([
      [['example.org.', '1.10.in-addr.arpa.'], [{ ip: undefined, port: 53, transport: 'dns' }]],
      [['internal.test.'], [{ ip: undefined, port: 5353, transport: 'dns' }]],
      [
        ['.'],
        [
          { ip: '127.0.0.1', port: 853, transport: 'tls' },
          { ip: '::1', port: 853, transport: 'tls' },
        ],
      ],
    ]);
    const [plain, , secure] = servers;
    expect(plain).toMatchObject({
      errors: { consolidate: [{ intervalMs: 300_000, pattern: / ?.* i\/o timeout$/, level: 'warn' }] },
      log: [{ zones: [rootName], format: '{remote} {name} {rcode}', classes: ['denial', 'error'] }],
      forward: [
        {
          to: [
            { kind: 'server', ip: '9.9.9.9', port: 853, transport: 'tls' },
            { kind: 'server', ip: '192.0.2.7', port: 5300, transport: 'dns' },
          ],
          except: [name('a.example.org'), name('b.example.org')],
          policy: 'round_robin',
          maxFails: 3,
          expireMs: 20_000,
          healthCheckMs: 1_000,
          healthCheckRecursion: false,
          healthCheckDomain: name('health.test'),
          tls: { caFile: '/ca.pem', serverName: 'dns.quad9.net' },
          preferUdp: true,
        },
      ],
    });
    expect(secure).toMatchObject({
      tls: { certFile: '/cert.pem', keyFile: '/key.pem', clientCaFile: '/clients.pem' },
      kubernetes: {
        zones: [name('cluster.local'), name('96.10.in-addr.arpa'), name('97.10.in-addr.arpa')],
        namespaces: ['shop', 'web'],
        labels: 'app in (a, b),tier!=x',
        endpointPodNames: true,
        noEndpoints: true,
        ignoreEmptyService: true,
        pods: 'verified',
        fallthrough: [],
      },
      transfer: [
        {
          zones: [name('cluster.local')],
          to: ['192.0.2.1/32', '2001:db8::1/128', '10.1.0.0/16'].map(parseCidr),
          notify: [
            { ip: '192.0.2.1', port: 53 },
            { ip: '2001:db8::1', port: 53 },
          ],
        },
      ],
      cache: {
        success: { capacity: 5000, maxTtl: 120, minTtl: 10 },
        denial: { capacity: 9984, maxTtl: 60, minTtl: 5 },
        prefetch: { amount: 10, durationMs: 120_000, percentage: 20 },
        serveStale: { durationMs: 1_800_000, refresh: 'verify', verifyTimeoutMs: 100 },
        servfailMs: 10_000,
        keepTtl: true,
        disableDenial: [name('bad.test')],
      },
      hosts: {
        file: '/etc/hosts',
        inline: ['10.0.0.1 one.test uno.test', 'fd00::1 one.test'],
        reverse: false,
        reloadMs: 0,
        fallthrough: [name('one.test')],
      },
      forward: [{ to: [{ ip: '8.8.8.8' }, { ip: '8.8.4.4' }] }],
    });
  });

  test("reads EKS' and OpenShift's, and says what of the latter is not supported", () => {
    const eks = kubeadm
      .replace(/ {\n +max_concurrent 1000\n +}/, '')
      .replace(/ttl 30\n/, '')
      .replace(/ {\n +disable[^}]*}/, '');
    expect(parse(eks).servers).toMatchObject([
      { kubernetes: { ttl: 5 }, cache: { disableSuccess: [] }, forward: [{}] },
    ]);
    const openshift = `.:5353 {
    bufsize 1232
    errors
    log . {
        class error
    }
    health {
        lameduck 20s
    }
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        pods insecure
        fallthrough in-addr.arpa ip6.arpa
    }
    prometheus 127.0.0.1:9153
    forward . /etc/resolv.conf {
        policy sequential
    }
    cache 900 {
        denial 9984 30
    }
    reload
}
`;
    expect(parse(openshift)).toMatchObject({
      maxUdpSize: 1232,
      health: { lameduckMs: 20_000 },
      metrics: [{ ip: '127.0.0.1', port: 9153 }],
      servers: [
        {
          listen: [{ port: 5353 }],
          log: [{ classes: ['error'] }],
          cache: { success: { maxTtl: 900 }, denial: { maxTtl: 30 } },
          forward: [{ policy: 'sequential' }],
        },
      ],
    });
    expect(() => parse(`${openshift}hostname.bind:5353 {\n    chaos\n}\n`)).toThrow(
      /^Corefile:25 plugin chaos is not supported/,
    );
  });

  test.each([
    [':1053', '.', 1053],
    ['dns://.', '.', 53],
    ['EXAMPLE.org.:{$PORT}', 'example.org.', 5300],
    ['10.0.0.0/24:1053', '0.0.10.in-addr.arpa.', 1053],
    ['2001:db8::/32', '8.b.d.0.1.0.0.2.ip6.arpa.', 53],
    ['2001:db8::/32:1053', '8.b.d.0.1.0.0.2.ip6.arpa.', 1053],
  ])('reads the key %s', (key, zone, port) => {
    const [server] = parse(`${key} {\n}`, { environment: { PORT: '5300' } }).servers;
    expect([server?.zones.map(formatName), server?.listen]).toEqual([
      [zone],
      [{ ip: undefined, port, transport: 'dns' }],
    ]);
  });

  test('takes a file without braces for one block', () => {
    expect(parse('.:1053\nforward . 192.0.2.1\nerrors\n').servers).toMatchObject([
      { listen: [{ port: 1053 }], forward: [{}], errors: {} },
    ]);
  });

  test.each([
    ['', /^Corefile:1 the Corefile has no server block/],
    ['.:53 {\n  errors\n', /^Corefile:1 a \{ is not closed/],
    ['.:53 {\n}\n}\n', /^Corefile:3 .*no zone/],
    ['.:53 {\n  rewrite name a b\n}', /^Corefile:2 plugin rewrite is not supported.*there are bind, .*transfer/],
    ['.:53 {\n  template ANY ANY {\n    rcode NXDOMAIN\n  }\n}', /^Corefile:2 plugin template is not supported/],
    ['.:53 {\n  errors\n  errors\n}', /^Corefile:3 plugin errors is in this block already/],
    ['.:53 {\n  health {\n    lame 5s\n  }\n}', /^Corefile:3 option lame of health is not supported/],
    ['.:53 {\n  health {\n    lameduck soon\n  }\n}', /^Corefile:3 soon is not a duration/],
    ['.:53 {\n  health 8080\n}', /^Corefile:2 8080 is not an address to listen at/],
    ['.:53 {\n  health\n}\na.test {\n  health :81\n}', /^Corefile:5 health has another address than the one above/],
    ['.:53 {\n  kubernetes cluster.local{\n  }\n}', /^Corefile:2 cluster\.local\{ has no space before its \{/],
    ['.:53 {\n  kubernetes\n}', /^Corefile:2 kubernetes names no cluster domain/],
    ['.:53 {\n  kubernetes in-addr.arpa\n}', /^Corefile:2 kubernetes names no cluster domain/],
    ['.:53 {\n  kubernetes a..b\n}', /^Corefile:2 a\.\.b is not a zone/],
    ['.:53 {\n  kubernetes c.local {\n    upstream\n  }\n}', /^Corefile:3 option upstream of kubernetes/],
    ['.:53 {\n  kubernetes c.local {\n    endpoint x:80\n  }\n}', /^Corefile:3 x:80 is not the URL of an API server/],
    ['.:53 {\n  kubernetes c.local {\n    ttl 3601\n  }\n}', /^Corefile:3 3601 is not a whole number from 0 to 3600/],
    ['.:53 {\n  kubernetes c.local {\n    pods some\n  }\n}', /^Corefile:3 some is not supported here/],
    ['.:53 {\n  kubernetes c.local {\n    labels a in (\n  }\n}', /^Corefile:3 a in \( is not a label selector/],
    [
      '.:53 {\n  kubernetes c.local {\n    namespaces a\n    namespace_labels b=c\n  }\n}',
      /^Corefile:2 has namespaces and namespace_labels/,
    ],
    ['.:53 {\n  forward .\n}', /^Corefile:2 forward says too little/],
    ['.:53 {\n  forward . nobody\n}', /^Corefile:2 nobody is not the address of a DNS server/],
    [
      '.:53 {\n  forward . https://dns.test\n}',
      /^Corefile:2 https:\/\/dns\.test is asked over https, which is not supported/,
    ],
    ['.:53 {\n  forward . 1.2.3.4 {\n    resolver 1.1.1.1\n  }\n}', /^Corefile:3 option resolver of forward/],
    [
      '.:53 {\n  forward . tls://9.9.9.9%a.test {\n    tls_servername b.test\n  }\n}',
      /^Corefile:2 has a name beside tls_servername/,
    ],
    ['.:53 {\n  cache 30 {\n    success 1 5 10\n  }\n}', /^Corefile:3 10 at least is more than 5 at most/],
    ['.:53 {\n  cache 30 {\n    prefetch 1 1m 95%\n  }\n}', /^Corefile:3 prefetch percentage 95%/],
    ['.:53 {\n  cache 30 {\n    serve_stale 1h immediate 5s\n  }\n}', /^Corefile:3 5s has no meaning after immediate/],
    ['.:53 {\n  log . "{name} {local}"\n}', /^Corefile:2 log cannot write \{local\}/],
    ['.:53 {\n  errors {\n    consolidate 1m "("\n  }\n}', /^Corefile:3 \( is not a regular expression/],
    ['.:53 {\n  loadbalance weighted f\n}', /^Corefile:2 loadbalance does not take f/],
    ['.:53 {\n  transfer\n}', /^Corefile:2 transfer names no client/],
    ['.:53 {\n  transfer {\n    to 10.0.0.0/33\n  }\n}', /^Corefile:3 10\.0\.0\.0\/33 is not an address/],
    ['.:53 {\n  transfer {\n    to host.test\n  }\n}', /^Corefile:3 host\.test is not an address/],
    ['.:53 {\n  bind nosuch0\n}', /^Corefile:2 nosuch0 is no address, and no interface/],
    ['.:53 {\n  hosts {\n    10.0.0.1\n  }\n}', /^Corefile:3 10\.0\.0\.1 says too little/],
    [
      '.:53 {\n  kubernetes a.test {\n    kubeconfig /f one\n  }\n}\n.:54 {\n  kubernetes b.test {\n    kubeconfig /f two\n  }\n}',
      /^Corefile:8 names another kubeconfig than the one above/,
    ],
    ['.:53 {\n  bind {$UNSET}\n}', /^Corefile:2 "" is no address/],
    ['.:53 {\n  reload 1s\n}', /^Corefile:2 1s is not a duration of at least 2000 ms/],
    ['.:53 {\n  tls /c /k\n}', /^Corefile:2 tls has no effect in a block without TLS/],
    ['tls://. {\n  errors\n}', /^Corefile:1 has no certificate/],
    ['https://. {\n  errors\n}', /^Corefile:1 https is not supported here/],
    ['.:0 {\n}', /^Corefile:1 \.:0 has no port/],
    ['. {\n}\n.:53 {\n}', /^\. at dns:\/\/:53 is served by two server blocks/],
    ['10.0.0.0/33 {\n}', /^Corefile:1 10\.0\.0\.0\/33 is not a block of addresses/],
    ['import gone.conf', /^Corefile:1 gone\.conf is no snippet above, and no file that can be read \(ENOENT\)/],
    ['(a) {\n  import a\n}\n. {\n  import a\n}', /^Corefile:2 imports lead round in circles/],
    ['(a) {\n}\n(a) {\n}', /^Corefile:3 snippet a is there already/],
    ['import\n', /^Corefile:1 import says nothing to import/],
    ['. {\n  log "unclosed\n}', /^Corefile:2 a quote is not closed/],
    ['. {\n  forward {$NOBODY}\n}', /^Corefile:2 forward says too little/],
    ['{\n}', /^Corefile:1 a server block has no zone/],
  ])('refuses %j, and says where', (text, message) => {
    expect(() => parse(text)).toThrow(message);
    expect(() => parse(text)).toThrow(/INVALID_CONFIG/);
  });
});
