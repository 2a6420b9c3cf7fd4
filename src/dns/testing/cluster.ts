import type { ClusterZone, ZoneOptions } from '../zone.ts';
import { emptyZone, externalName, pod, service, slice } from './objects.ts';

/** For tests: a small cluster with a Service of every kind, served by these settings. */
export function exampleZone(options: Partial<ZoneOptions> = {}): ClusterZone {
  const zone = emptyZone(options);
  for (const namespace of ['default', 'kube-system', 'shop', 'vacant']) zone.setNamespace(namespace, true);
  const services = {
    'default/kubernetes': service(['10.96.0.1'], 'https:443'),
    'default/hello-service': service(['10.96.0.20'], 'http:80', 'metrics:9090', 'stats:8125/UDP'),
    'default/unnamed': service(['10.96.0.21'], '80'),
    'default/dual': service(['10.96.0.30', 'fd00:10:96::30'], 'http:80'),
    'default/six': service(['fd00:10:96::6'], 'http:80'),
    'default/pending': service([], 'http:80'),
    'default/pets': service(['None'], 'http:8080'),
    'default/sleepers': service(['None'], 'http:8080'),
    'default/portless': service(['None']),
    'default/twins': service(['None'], 'http:80'),
    'default/six-pets': service(['None'], 'http:80'),
    'default/ports': service(['None'], 'web:8080'),
    'default/nowhere-yet': service(['None'], 'http:80'),
    'shop/hello-service': service(['10.96.0.40'], 'http:80'),
    'shop/search-engine': externalName('search.example.com'),
    'shop/inner': externalName('hello-service.default.svc.cluster.local'),
    'shop/to-pets': externalName('pets.default.svc.cluster.local'),
    'shop/chain': externalName('inner.shop.svc.cluster.local'),
    'shop/outer-chain': externalName('search-engine.shop.svc.cluster.local'),
    'shop/nowhere': externalName('gone.default.svc.cluster.local'),
    'shop/ring': externalName('ring.shop.svc.cluster.local'),
    'shop/ping': externalName('pong.shop.svc.cluster.local'),
    'shop/pong': externalName('ping.shop.svc.cluster.local'),
    'shop/digits': externalName('192.0.2.1'),
    'shop/six-digits': externalName('2001:db8::1'),
    'shop/dotted': externalName('Search.Example.COM.'),
    'gone/hidden': service(['10.96.0.50'], 'http:80'),
    'gone/pets': service(['None'], 'http:80'),
    'kube-system/kube-dns': service(['10.96.0.10'], 'dns:53/UDP', 'dns-tcp:53', 'metrics:9153'),
  };
  for (const [key, object] of Object.entries(services)) zone.setService(key, object);
  const slices = {
    'default/hello-service-a': slice('hello-service', ['10.244.1.9'], 'http:8080'),
    'default/kubernetes': slice('kubernetes', ['172.18.0.2'], 'https:6443'),
    'default/dual-4': slice('dual', ['10.244.1.11@both'], 'http:8080'),
    'default/dual-6': slice('dual', ['fd00:10:244::11@both'], 'http:8080'),
    'default/unnamed-a': slice('unnamed', ['!10.244.1.12', '10.244.1.13#web-0'], '8080'),
    'default/six-pets-a': slice('six-pets', ['fd00:10:244::21', 'fd00:10:244::22'], 'http:80'),
    'default/ports-a': slice('ports', ['10.244.1.31'], 'web:8080'),
    'default/ports-b': slice('ports', ['10.244.1.32'], 'web:9090'),
    'gone/hidden-a': slice('hidden', ['10.244.9.1'], 'http:80'),
    'gone/pets-a': slice('pets', ['10.244.9.2'], 'http:80'),
    'default/pets-4': slice('pets', ['10.244.1.2', '10.244.2.3@rex', '!10.244.3.4@tom'], 'http:8080', '9000'),
    'default/pets-6': slice('pets', ['fd00:10:244::2', 'fd00:10:244::3@rex'], 'http:8080', '9000'),
    'default/sleepers-a': slice('sleepers', ['!10.244.1.5'], 'http:8080'),
    'default/portless-a': slice('portless', ['10.244.1.6']),
    'default/twins-a': slice('twins', ['10.244.1.7@twin', '10.244.1.8@twin'], 'http:80'),
    // The same endpoint in two slices, as it is while endpoints move between them.
    'default/twins-b': slice('twins', ['10.244.1.8@twin'], 'http:80'),
    'default/stranger-a': slice('no-such-service', ['10.244.1.99'], 'http:80'),
  };
  for (const [key, object] of Object.entries(slices)) zone.setEndpointSlice(key, object);
  if (options.pods !== 'verified') return zone;
  const pods = {
    'default/web-0': pod(['10.244.1.13', 'fd00:10:244::13']),
    'default/done': pod(['10.244.1.77'], 'Succeeded'),
    'default/starting': pod([], 'Pending'),
    'shop/on-host': pod(['172.18.0.2']),
    'shop/on-host-too': pod(['172.18.0.2']),
    'gone/late': pod(['10.244.9.3']),
  };
  for (const [key, object] of Object.entries(pods)) zone.setPod(key, object);
  return zone;
}
