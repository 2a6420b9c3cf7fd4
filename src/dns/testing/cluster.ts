import type { ClusterZone } from '../zone.ts';
import { emptyZone, externalName, service, slice } from './objects.ts';

/** For tests: a small cluster with a Service of every kind. */
export function exampleZone(): ClusterZone {
  const zone = emptyZone();
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
    'shop/hello-service': service(['10.96.0.40'], 'http:80'),
    'shop/search-engine': externalName('search.example.com'),
    'shop/inner': externalName('hello-service.default.svc.cluster.local'),
    'shop/to-pets': externalName('pets.default.svc.cluster.local'),
    'shop/chain': externalName('inner.shop.svc.cluster.local'),
    'shop/outer-chain': externalName('search-engine.shop.svc.cluster.local'),
    'shop/nowhere': externalName('gone.default.svc.cluster.local'),
    'shop/ring': externalName('ring.shop.svc.cluster.local'),
    'shop/digits': externalName('192.0.2.1'),
    'kube-system/kube-dns': service(['10.96.0.10'], 'dns:53/UDP', 'dns-tcp:53', 'metrics:9153'),
  };
  for (const [key, object] of Object.entries(services)) zone.setService(key, object);
  const slices = {
    'default/hello-service-a': slice('hello-service', ['10.244.1.9'], 'http:8080'),
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
  return zone;
}
