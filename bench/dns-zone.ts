/**
 * What the cluster's names cost to keep: memory for each Service and each endpoint, and the time of one change, in a zone
 * of so many Services with two endpoints each. Then how long a changed endpoint takes from the API to the answer, with
 * an API server of which there is just list and watch, in the same process.
 * `npm run bench dns-zone [SERVICES…]`
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { pino } from 'pino';
import type { EndpointSlice, Service } from '../src/api/generated/types.ts';
import { connect } from '../src/client/client.ts';
import { kubernetesDefaults, reverseZones } from '../src/dns/config/defaults.ts';
import { feedZone } from '../src/dns/feed.ts';
import { DnsMetrics } from '../src/dns/metrics.ts';
import { SmallApi } from '../src/dns/testing/api.ts';
import { type Name, parseName } from '../src/dns/wire/name.ts';
import { ClusterZone } from '../src/dns/zone.ts';
import { formatTable, quantile } from './shared/figures.ts';

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;

const endpointsEach = 2;
const changes = 2000;

function emptyZone(): ClusterZone {
  const zones = [parseName('cluster.local') as Name, ...reverseZones];
  const zone = new ClusterZone({ ...kubernetesDefaults, zones, fallthrough: reverseZones });
  zone.setNamespace('bench', true);
  return zone;
}

function service(i: number): Service {
  const clusterIP = `10.${96 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
  return { spec: { clusterIP, clusterIPs: [clusterIP], ports: [{ name: 'http', port: 80, protocol: 'TCP' }] } };
}

function slice(i: number, round = 0): EndpointSlice {
  const address = (e: number) => `10.${128 + (e << 4) + (i >> 16)}.${(i >> 8) & 255}.${(i + round) & 255}`;
  return {
    addressType: 'IPv4',
    metadata: { labels: { 'kubernetes.io/service-name': `service-${i}` } },
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints: Array.from({ length: endpointsEach }, (_, e) => ({ addresses: [address(e)] })),
  };
}

function heap(): number {
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** CPU time, so that a busy machine does not make a slow zone; microseconds for each of so many. */
function cpuEach(count: number, work: (i: number) => void): number {
  const before = process.cpuUsage();
  for (let i = 0; i < count; i++) work(i);
  const { user, system } = process.cpuUsage(before);
  return (user + system) / count;
}

function measure(services: number): Record<string, number> {
  const objects = Array.from({ length: services }, (_, i) => ({
    key: `bench/service-${i}`,
    service: service(i),
    slice: slice(i),
  }));
  const empty = heap();
  const zone = emptyZone();
  const loadService = cpuEach(services, (i) => zone.setService(objects[i]?.key ?? '', objects[i]?.service));
  const withServices = heap();
  const loadSlice = cpuEach(services, (i) => zone.setEndpointSlice(`${objects[i]?.key}-1`, objects[i]?.slice));
  const whole = heap();
  const change = cpuEach(changes, (i) => zone.setEndpointSlice(`bench/service-${i}-1`, slice(i, 1)));
  return {
    Services: services,
    'whole MiB': (whole - empty) / 2 ** 20,
    'octets a Service': (withServices - empty) / services,
    'octets an endpoint': (whole - withServices) / (services * endpointsEach),
    'load µs a Service': loadService,
    'load µs a slice': loadSlice,
    'change µs': change,
  };
}

async function freshness(): Promise<void> {
  const api = new SmallApi();
  await api.start();
  api.put('namespaces', 'bench', {});
  api.put('services', 'bench/service-0', { spec: { clusterIP: 'None', clusterIPs: ['None'] } });
  const client = connect({ server: api.url });
  const zone = emptyZone();
  const settings = { ...kubernetesDefaults, pods: 'insecure' as const };
  const feed = feedZone({ zone, settings, client, log: pino({ level: 'silent' }), metrics: new DnsMetrics() });
  await feed.synced;
  const took: number[] = [];
  for (let round = 0; round < 200; round++) {
    const { serial } = zone;
    const started = performance.now();
    api.put('endpointslices', 'bench/service-0-1', slice(0, round));
    while (zone.serial === serial) await new Promise((resolve) => setImmediate(resolve));
    took.push(performance.now() - started);
  }
  const [p50, p99] = [quantile(took, 0.5), quantile(took, 0.99)].map((ms) => ms.toFixed(1));
  console.log(`from the API to the answer: p50 ${p50} ms, p99 ${p99} ms`);
  feed.close();
  client.close();
  await api.stop();
}

const sizes = process.argv.slice(2).map(Number);
console.log(formatTable((sizes.length > 0 ? sizes : [10_000, 100_000]).map(measure)));
await freshness();
