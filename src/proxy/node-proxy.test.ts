import { afterEach, describe, expect, it } from 'vitest';
import { soon } from '../../test/soon.ts';
import type { EndpointSlice, Service, ServiceSpec } from '../api/generated/types.ts';
import { tableName } from '../backends/nftables/names.ts';
import type { Logger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import { errnoNumber, KernelError } from '../kernel/ffi.ts';
import { FakeNftables } from '../kernel/nftables/fake.ts';
import type { HealthCheck } from '../model/types.ts';
import type { Transaction } from '../rules/nftables/syntax.ts';
import { parseProxyConfig } from './config.ts';
import { NftablesBackend } from './nftables/backend.ts';
import { NodeProxy } from './node-proxy.ts';
import { ProxyEvents } from './proxy-events.ts';
import { ProxyMetrics } from './proxy-metrics.ts';
import type { FlowReview } from './stale-flows.ts';

/** A kernel that refuses every transaction in which `refuses` finds something. */
class MoodyNftables extends FakeNftables {
  refuses: (transaction: Transaction) => boolean = () => false;
  readonly asked: Transaction[] = [];

  override apply(transaction: Transaction): void {
    this.asked.push(transaction);
    if (this.refuses(transaction)) {
      throw new SignalboxError('KERNEL_REFUSED', {
        object: 'nftables table',
        problem: 'was refused',
        remedy: 'nothing',
        cause: new KernelError('change a table', errnoNumber.EINVAL),
      });
    }
    super.apply(transaction);
  }
}

const mentions = (text: string) => (transaction: Transaction) => JSON.stringify(transaction.units).includes(text);

function service(name: string, ip: string, spec: ServiceSpec = {}): Service {
  return {
    metadata: { namespace: 'default', name, creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { clusterIPs: [ip], ports: [{ port: 80 }], ...spec },
  };
}

function slice(name: string, ips: readonly string[], protocol = 'TCP'): EndpointSlice {
  return {
    metadata: { namespace: 'default', name: `${name}-x`, labels: { 'kubernetes.io/service-name': name } },
    addressType: 'IPv4',
    ports: [{ port: 8080, protocol }],
    endpoints: ips.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
  };
}

/** A proxy over a kernel, with what it logged and which flows it had looked over. */
function newProxy(kernel: MoodyNftables, config: object = {}) {
  const lines: { readonly level: string; readonly details: object; readonly message: string }[] = [];
  const note = (level: string) => (details: object, message: string) => lines.push({ level, details, message });
  const log = {
    debug: note('debug'),
    info: note('info'),
    warn: note('warn'),
    error: note('error'),
  } as unknown as Logger;
  const reviews: (readonly FlowReview[])[] = [];
  const events: string[] = [];
  const checks: (readonly HealthCheck[])[] = [];
  /** What the API has told so far. */
  const told = { version: '' };
  const proxy = new NodeProxy({
    nodeName: 'node-1',
    config: parseProxyConfig({ clusterCIDR: '10.244.0.0/16', nftables: { minSyncPeriod: '1ms' }, ...config }),
    backend: new NftablesBackend(kernel),
    log,
    interfaceAddresses: () => [],
    knownVersions: () => new Map([['services', told.version]]),
    healthChecks: { update: (all) => checks.push([...all]) },
    metrics: new ProxyMetrics(() => ({ entries: 0, limit: 0 })),
    events: new ProxyEvents({
      recorder: {
        record: (about, event) =>
          events.push(`${about.kind} ${about.metadata?.name} ${event.reason}: ${event.message}`),
      },
      nodeName: 'node-1',
      serviceUid: () => undefined,
    }),
    removeStaleFlows: (review) => {
      reviews.push(review);
      return new Map();
    },
  });
  proxy.node({ metadata: { name: 'node-1' } });
  proxies.push(proxy);
  return { proxy, lines, reviews, events, checks, told };
}

const proxies: NodeProxy[] = [];
afterEach(async () => {
  await Promise.all(proxies.splice(0).map((proxy) => proxy.stop()));
});

const hello = () => [service('hello', '10.96.0.7'), slice('hello', ['10.244.1.2', '10.244.2.2'])] as const;

function tell(proxy: NodeProxy, ...objects: readonly (Service | EndpointSlice)[]): void {
  for (const object of objects) {
    const key = `default/${object.metadata?.name}`;
    if ('addressType' in object) proxy.endpointSlice(key, object);
    else proxy.service(key, object);
  }
}

describe('NodeProxy', () => {
  it('writes nothing before it is told to begin, then all in one transaction', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy } = newProxy(kernel);
    tell(proxy, ...hello());
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect(kernel.asked).toEqual([]);
    proxy.begin();
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.244.2.2'));
    expect(kernel.applied.map(({ family }) => family)).toEqual(['ip']);
  });

  it('says once when there is no Node of its name, and when it goes', async () => {
    const { proxy, lines } = newProxy(new MoodyNftables(tableName));
    const warnings = () => lines.filter(({ message }) => message.startsWith('there is no Node of this name'));
    proxy.node(undefined);
    proxy.begin();
    await proxy.synced;
    expect(warnings()).toMatchObject([{ level: 'warn', details: { node: 'node-1' } }]);
    proxy.node({ metadata: { name: 'node-1' } });
    tell(proxy, ...hello());
    expect(warnings()).toHaveLength(1);
    proxy.node(undefined);
    expect(warnings()).toHaveLength(2);
  });

  it('puts all events of one moment in one transaction, of elements only', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy } = newProxy(kernel);
    proxy.begin();
    await soon(() => expect(kernel.applied).toHaveLength(1));
    kernel.applied.length = 0;
    tell(proxy, ...hello(), service('other', '10.96.0.8'), slice('other', ['10.244.1.3']));
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.244.1.3'));
    const changing = kernel.applied.filter(({ commands, units }) => commands.length + units.length > 0);
    expect(changing).toHaveLength(1);
    expect(changing[0]?.commands).toEqual([]);
  });

  it('says up to which version the kernel has all, also when the last changes meant nothing to it', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy, told } = newProxy(kernel);
    const version = () =>
      /^signalbox_proxy_resource_version\{resource="services"\} (\d+)$/m.exec(proxy.metricsText())?.[1];
    told.version = '7';
    tell(proxy, ...hello());
    expect(version()).toBeUndefined();
    proxy.begin();
    await proxy.synced;
    expect(version()).toBe('7');
    // A change of what no rule comes from.
    told.version = '8';
    tell(proxy, ...hello());
    expect(version()).toBe('8');
    kernel.refuses = () => true;
    told.version = '9';
    tell(proxy, service('other', '10.96.0.8'), slice('other', ['10.244.1.3']));
    expect(version()).toBe('8');
    const asked = kernel.asked.length;
    await soon(() => expect(kernel.asked.length).toBeGreaterThan(asked));
  });

  it('takes over what an earlier run left: rules that are right are not written again', async () => {
    const kernel = new MoodyNftables(tableName);
    const first = newProxy(kernel).proxy;
    tell(first, ...hello());
    first.begin();
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.244.2.2'));
    await first.stop();
    const left = kernel.dump('IPv4');
    kernel.applied.length = 0;

    const { proxy, lines } = newProxy(kernel);
    tell(proxy, ...hello());
    proxy.begin();
    await soon(() => expect(lines.map(({ message }) => message)).toContain('the kernel has all Services'));
    expect(kernel.applied.flatMap(({ commands, units }) => [...commands, ...units])).toEqual([]);
    expect(kernel.dump('IPv4')).toBe(left);
  });

  it('serves all others when the kernel refuses one Service, and that one as soon as it can', async () => {
    const kernel = new MoodyNftables(tableName);
    kernel.refuses = mentions('10.96.0.66');
    const { proxy, lines } = newProxy(kernel);
    tell(proxy, ...hello(), service('bad', '10.96.0.66'), service('other', '10.96.0.8'));
    proxy.begin();
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.96.0.8'));
    expect(kernel.dump('IPv4')).toContain('10.244.2.2');
    expect(lines.filter(({ level }) => level === 'warn').map(({ details }) => details)).toMatchObject([
      { servicePort: 'default/bad' },
    ]);
    expect(proxy.metricsText()).toContain('signalbox_proxy_refused_service_ports 1\n');

    tell(proxy, slice('other', ['10.244.1.3']));
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.244.1.3'));
    expect(kernel.dump('IPv4')).not.toContain('10.96.0.66');

    kernel.refuses = () => false;
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.96.0.66'));
    await soon(() => expect(proxy.metricsText()).toContain('signalbox_proxy_refused_service_ports 0\n'));
  });

  it('leaves a Service as it was when the kernel refuses its change', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy, lines } = newProxy(kernel);
    tell(proxy, ...hello());
    proxy.begin();
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.244.2.2'));
    const before = kernel.dump('IPv4');
    kernel.refuses = mentions('10.244.9.9');
    tell(proxy, slice('hello', ['10.244.9.9']));
    await soon(() => expect(lines.some(({ level }) => level === 'warn')).toBe(true));
    expect(kernel.dump('IPv4')).toBe(before);
  });

  it('tries again after a failure of the whole, with all that changed meanwhile', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy, lines } = newProxy(kernel);
    kernel.refuses = ({ family }) => family === 'ip';
    tell(proxy, ...hello());
    proxy.begin();
    await soon(() => expect(lines.some(({ level }) => level === 'error')).toBe(true));
    expect(proxy.metricsText()).toMatch(/nftables_sync_failures_total\{ip_family="IPv4"\} [1-9]/);
    tell(proxy, service('other', '10.96.0.8'));
    kernel.refuses = () => false;
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.96.0.8'));
    expect(kernel.dump('IPv4')).toContain('10.244.2.2');
  });

  it('repairs at the next check what others changed, and says so', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy, lines } = newProxy(kernel, { nftables: { syncPeriod: '50ms' } });
    tell(proxy, ...hello());
    proxy.begin();
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.244.2.2'));
    kernel.flushRuleset();
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.244.2.2'));
    await soon(() => expect(proxy.metricsText()).toContain('signalbox_proxy_repairs_total 1\n'));
    expect(lines.filter(({ level }) => level === 'warn')).toMatchObject([
      { message: 'somebody changed what the proxy has in the kernel; repaired' },
    ]);
  });

  it('has UDP flows looked over once an endpoint is gone from the kernel', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy, reviews } = newProxy(kernel);
    const dns = service('dns', '10.96.0.10', { ports: [{ port: 53, protocol: 'UDP' }] });
    tell(proxy, dns, slice('dns', ['10.244.1.2', '10.244.2.2'], 'UDP'));
    proxy.begin();
    await soon(() => expect(reviews).toHaveLength(1));
    tell(proxy, slice('dns', ['10.244.2.2'], 'UDP'));
    await soon(() => expect(reviews).toHaveLength(2));
    expect(reviews[1]).toMatchObject([{ ip: '10.96.0.10', port: 53, endpoints: [{ ip: '10.244.2.2' }] }]);
    expect(kernel.dump('IPv4')).not.toContain('10.244.1.2');
  });

  it('says when two Services claim one address, and who has it', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy, lines, events } = newProxy(kernel);
    const externalIPs = ['192.0.2.1'];
    tell(proxy, service('b', '10.96.0.2', { externalIPs }), service('a', '10.96.0.1', { externalIPs }));
    proxy.begin();
    const contest = { frontend: 'TCP 192.0.2.1 80', owner: 'default/a', waiting: ['default/b'] };
    await soon(() => expect(lines.map(({ details }) => details)).toContainEqual(contest));
    expect(events).toEqual(['Service b AddressClaimed: TCP 192.0.2.1 80 is served for default/a, which had it first']);
    proxy.service('default/a', undefined);
    const handedOver = { frontend: 'TCP 192.0.2.1 80', owner: 'default/b', previousOwner: 'default/a' };
    await soon(() => expect(lines.map(({ details }) => details)).toContainEqual(handedOver));
  });

  it('has balancers told how many endpoints are here, after the kernel knows', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy, checks } = newProxy(kernel);
    const spec: ServiceSpec = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 };
    const here = slice('hello', ['10.244.1.2']);
    const [endpoint] = here.endpoints ?? [];
    tell(proxy, service('hello', '10.96.0.7', spec), {
      ...here,
      endpoints: [{ ...endpoint, nodeName: 'node-1', addresses: ['10.244.1.2'] }],
    });
    proxy.begin();
    const check = { namespace: 'default', name: 'hello', port: 32_000 };
    await soon(() => expect(checks.at(-1)).toEqual([{ ...check, localEndpoints: 1 }]));
    expect(kernel.dump('IPv4')).toContain('10.244.1.2');
    tell(proxy, { ...here, endpoints: [] });
    await soon(() => expect(checks.at(-1)).toEqual([{ ...check, localEndpoints: 0 }]));
    proxy.service('default/hello', undefined);
    await soon(() => expect(checks.at(-1)).toEqual([]));
    // What has nothing to do with them does not touch them.
    const told = checks.length;
    tell(proxy, service('other', '10.96.0.8'));
    await soon(() => expect(kernel.dump('IPv4')).toContain('10.96.0.8'));
    expect(checks).toHaveLength(told);
  });

  it('serves node ports where the Node object says, and follows it', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy } = newProxy(kernel);
    tell(proxy, service('hello', '10.96.0.7', { ports: [{ port: 80, nodePort: 30080 }] }));
    proxy.begin();
    const addresses = (address: string) => ({ status: { addresses: [{ type: 'InternalIP', address }] } });
    proxy.node(addresses('192.168.101.3'));
    await soon(() => expect(kernel.dump('IPv4')).toContain('192.168.101.3 . tcp . 30080'));
    proxy.node(addresses('192.168.101.9'));
    await soon(() => expect(kernel.dump('IPv4')).toContain('192.168.101.9 . tcp . 30080'));
    expect(kernel.dump('IPv4')).not.toContain('192.168.101.3');
  });

  it('opens a load-balancer address with source ranges to those alone', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy } = newProxy(kernel);
    const balanced = {
      ...service('hello', '10.96.0.7', { type: 'LoadBalancer', loadBalancerSourceRanges: ['10.0.0.0/8'] }),
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } },
    };
    tell(proxy, balanced, slice('hello', ['10.244.1.2']));
    proxy.begin();
    await soon(() => expect(kernel.dump('IPv4')).toContain('192.0.2.1'));
    const address = kernel.load('IPv4')?.elements.filter(({ key }) => key[0] === '192.0.2.1');
    expect(address).toContainEqual(expect.objectContaining({ set: 'restricted' }));
    expect(address).toContainEqual({ set: 'sources-8', key: ['192.0.2.1', 'tcp', 80, '10.0.0.0'] });
  });

  it('measures the time to the kernel, except of what was there before it', async () => {
    const kernel = new MoodyNftables(tableName);
    const { proxy } = newProxy(kernel);
    tell(proxy, ...hello());
    proxy.begin();
    await soon(() =>
      expect(proxy.metricsText()).toContain('kubeproxy_sync_proxy_rules_duration_seconds_count{ip_family="IPv4"} 1\n'),
    );
    expect(proxy.metricsText()).toContain('kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 0\n');
    tell(proxy, slice('hello', ['10.244.1.9']));
    await soon(() =>
      expect(proxy.metricsText()).toContain(
        'kubeproxy_network_programming_duration_seconds_count{ip_family="IPv4"} 1\n',
      ),
    );
    expect(proxy.metricsText()).toContain('kubeproxy_sync_proxy_rules_endpoint_changes_total{ip_family="IPv4"} 2\n');
  });
});
