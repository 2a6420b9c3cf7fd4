import { pino } from 'pino';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Service } from '../../src/api/generated/types.ts';
import type { ObjectPlace } from '../../src/client/types.ts';
import { sleep } from '../../src/component/backoff.ts';
import { parseControllersConfig } from '../../src/controllers/config.ts';
import { type RunningControllers, startControllers } from '../../src/controllers/run.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const loadBalancer = {
  pools: [
    { name: 'small', addresses: ['192.0.2.8-192.0.2.9'] },
    { name: 'asked', addresses: ['203.0.113.0/24'], autoAssign: false },
    { name: 'team', addresses: ['198.51.100.64/29'], namespaceSelector: 'team=a' },
  ],
};
let plane: ControlPlane;
beforeEach(async () => {
  plane = await startControlPlane({ controllers: ['loadbalancer'], loadBalancer });
});
afterEach(() => plane.close());

/** Controllers that come after those that were stopped; they stop with the test. */
function startSuccessors(config: object): RunningControllers {
  const { server, close } = plane;
  const controllers = startControllers(parseControllersConfig({ controllers: ['loadbalancer'], ...config }), {
    client: server.admin,
    rootCertificate: undefined,
    log: pino({ level: 'silent' }),
  });
  plane = {
    ...plane,
    controllers,
    close: async () => {
      await controllers.stop();
      await close();
    },
  };
  return controllers;
}

type Metadata = { readonly annotations?: { readonly [name: string]: string } };

function create(name: string, spec: Service['spec'] = {}, metadata: Metadata = {}) {
  return plane.client.create('services', {
    metadata: { namespace: 'default', name, ...metadata },
    spec: { type: 'LoadBalancer', ports: [{ port: 80 }], ...spec },
  } as Service);
}
const get = (name: string) => plane.client.get('services', { namespace: 'default', name });
const ipsOf = async (name: string) => (await get(name)).status?.loadBalancer?.ingress?.map(({ ip }) => ip) ?? [];
const eventsOf = async (name: string) =>
  (await plane.client.list('events', { namespace: 'default' })).items
    .filter(({ involvedObject }) => involvedObject?.name === name)
    .map(({ type, reason, message }) => `${type} ${reason}: ${message}`);
const patchOf = (place: ObjectPlace, body: object) => plane.client.patch('services', place, { type: 'merge', body });
const patch = (name: string, body: object) => patchOf({ namespace: 'default', name }, body);
const eventually = { timeout: 10_000 };

describe('loadBalancerController', { timeout: 30_000 }, () => {
  test('gives an address with all that belongs to it, and takes it back', async () => {
    await create('one');
    await expect.poll(() => ipsOf('one'), eventually).toEqual(['192.0.2.8']);
    expect(await get('one')).toMatchObject({
      metadata: {
        annotations: { 'signalbox.dev/address-pool': 'small' },
        finalizers: ['service.kubernetes.io/load-balancer-cleanup'],
      },
      status: { loadBalancer: { ingress: [{ ip: '192.0.2.8', ipMode: 'VIP' }] } },
    });
    await expect
      .poll(() => eventsOf('one'), eventually)
      .toContain('Normal IPAllocated: Assigned IP ["192.0.2.8"] of pool small');
    await patch('one', { spec: { type: 'NodePort' } });
    await expect.poll(() => ipsOf('one'), eventually).toEqual([]);
    await expect.poll(async () => (await get('one')).metadata.finalizers ?? [], eventually).toEqual([]);
    expect((await get('one')).metadata.annotations?.['signalbox.dev/address-pool']).toBeUndefined();
    await patch('one', { spec: { type: 'LoadBalancer' } });
    await expect.poll(() => ipsOf('one'), eventually).toEqual(['192.0.2.8']);
  });

  test('says what cannot be had, and gives it to who has waited longest when it is free', async () => {
    await create('first');
    await create('second');
    await expect.poll(() => ipsOf('second'), eventually).toEqual(['192.0.2.9']);
    await create('third');
    await expect
      .poll(() => eventsOf('third'), eventually)
      .toEqual(['Warning AllocationFailed: Failed to allocate IP: pool small has no free IPv4 address']);
    await create('asks', { loadBalancerIP: '192.0.2.77' });
    await expect
      .poll(() => eventsOf('asks'), eventually)
      .toEqual([expect.stringContaining('192.0.2.77 is in no pool')]);
    await plane.client.delete('services', { namespace: 'default', name: 'first' });
    await expect.poll(() => ipsOf('third'), eventually).toEqual(['192.0.2.8']);
    await patch('asks', { spec: { loadBalancerIP: '203.0.113.5' } });
    await expect.poll(() => ipsOf('asks'), eventually).toEqual(['203.0.113.5']);
  });

  test('keeps the address of a Service that comes to ask for what cannot be had, and says so until it can', async () => {
    await create('keeps');
    await expect.poll(() => ipsOf('keeps'), eventually).toEqual(['192.0.2.8']);
    const finished = await create('asked', { loadBalancerIP: '203.0.113.5' });
    await expect.poll(() => ipsOf('asked'), eventually).toEqual(['203.0.113.5']);
    await patch('keeps', { metadata: { annotations: { 'signalbox.dev/load-balancer-ips': '203.0.113.5' } } });
    const failure = async () =>
      (await get('keeps')).status?.conditions?.map(({ lastTransitionTime: _, ...rest }) => rest);
    const message = expect.stringMatching(/^203\.0\.113\.5 cannot be had: default\/asked has it/);
    const condition = { type: 'signalbox.dev/AllocationFailed', status: 'True', reason: 'KeepsAddress', message };
    await expect.poll(failure, eventually).toEqual([condition]);
    expect(await ipsOf('keeps')).toEqual(['192.0.2.8']);
    await expect
      .poll(() => eventsOf('keeps'), eventually)
      .toContainEqual(expect.stringMatching(/^Warning AllocationFailed: .*; it keeps \["192\.0\.2\.8"\]$/));
    await plane.client.delete('services', finished.metadata);
    await expect.poll(() => ipsOf('keeps'), eventually).toEqual(['203.0.113.5']);
    expect(await failure()).toBeUndefined();
  });

  test('gives a pool to namespaces with its labels, from when they have them', async () => {
    const place = { namespace: 'labeled', name: 's' };
    const { metadata } = await plane.client.create('namespaces', { metadata: { name: 'labeled' } });
    await plane.client.create('services', { metadata: place, spec: { type: 'LoadBalancer', ports: [{ port: 80 }] } });
    const ips = async () => (await plane.client.get('services', place)).status?.loadBalancer?.ingress;
    await expect.poll(ips, eventually).toEqual([{ ip: '192.0.2.8', ipMode: 'VIP' }]);
    await patchOf(place, { metadata: { annotations: { 'signalbox.dev/load-balancer-pool': 'team' } } });
    await plane.client.patch('namespaces', metadata, { type: 'merge', body: { metadata: { labels: { team: 'a' } } } });
    await expect.poll(ips, eventually).toEqual([{ ip: '198.51.100.65', ipMode: 'VIP' }]);
    await plane.client.delete('services', place);
  });

  test('lets Services share an address that ask for it', async () => {
    const shared = {
      annotations: { 'signalbox.dev/allow-shared-ip': 'dns', 'signalbox.dev/load-balancer-ips': '192.0.2.9' },
    };
    await create('tcp', { ports: [{ port: 53, protocol: 'TCP' }] }, shared);
    await create('udp', { ports: [{ port: 53, protocol: 'UDP' }] }, shared);
    await expect
      .poll(async () => [await ipsOf('tcp'), await ipsOf('udp')], eventually)
      .toEqual([['192.0.2.9'], ['192.0.2.9']]);
    await create('again', { ports: [{ port: 53, protocol: 'UDP' }] }, shared);
    await expect.poll(() => eventsOf('again'), eventually).toEqual([expect.stringContaining('has its port UDP 53')]);
  });

  test('leaves Services of another class alone, and one that is its own by class is served', async () => {
    await create('theirs', { loadBalancerClass: 'example.com/other' });
    await create('ours', { loadBalancerClass: 'signalbox.dev/load-balancer' });
    await expect.poll(() => ipsOf('ours'), eventually).toEqual(['192.0.2.8']);
    await plane.controllers.drain();
    expect(await get('theirs')).toMatchObject({ status: { loadBalancer: {} } });
    expect((await get('theirs')).metadata.finalizers).toBeUndefined();
  });

  const sharing = (ip: string) => ({
    annotations: { 'signalbox.dev/allow-shared-ip': 'k', 'signalbox.dev/load-balancer-ips': ip },
  });

  test('moves a Service whose address another comes to have that may not share it with', async () => {
    await create('old', { ports: [{ port: 80 }] }, sharing('192.0.2.8'));
    await expect.poll(() => ipsOf('old'), eventually).toEqual(['192.0.2.8']);
    await create('young', { ports: [{ port: 81 }] }, sharing('192.0.2.8'));
    await expect.poll(() => ipsOf('young'), eventually).toEqual(['192.0.2.8']);
    await patch('old', { spec: { ports: [{ port: 81 }] } });
    await expect.poll(async () => [...(await ipsOf('old')), ...(await ipsOf('young'))], eventually).toHaveLength(1);
    await patch('old', { spec: { ports: [{ port: 80 }] } });
    await expect
      .poll(async () => [await ipsOf('old'), await ipsOf('young')], eventually)
      .toEqual([['192.0.2.8'], ['192.0.2.8']]);
  });

  test('moves one of two when another process gave both one address', async () => {
    await create('one');
    await expect.poll(() => ipsOf('one'), eventually).toEqual(['192.0.2.8']);
    await create('two');
    await expect.poll(() => ipsOf('two'), eventually).toEqual(['192.0.2.9']);
    await plane.client.patch(
      'services',
      { namespace: 'default', name: 'one', subresource: 'status' },
      { type: 'merge', body: { status: { loadBalancer: { ingress: [{ ip: '192.0.2.9' }] } } } },
    );
    const ips = async () => [...(await ipsOf('one')), ...(await ipsOf('two'))].sort();
    await expect.poll(ips, eventually).toEqual(['192.0.2.8', '192.0.2.9']);
  });

  test('heeds a report about the addresses of its own Service alone', async () => {
    await create('victim');
    await expect.poll(() => ipsOf('victim'), eventually).toEqual(['192.0.2.8']);
    await create('liar', {}, { annotations: { 'signalbox.dev/address-in-use': '192.0.2.8,192.0.2.9' } });
    await expect.poll(() => ipsOf('liar'), eventually).toEqual(['192.0.2.9']);
    await patch('victim', { metadata: { labels: { seen: 'again' } } });
    await plane.controllers.drain();
    expect(await ipsOf('victim')).toEqual(['192.0.2.8']);
  });

  test('leaves a Service of another class as it is, though a mark came along with it', async () => {
    const annotations = { 'signalbox.dev/address-pool': 'small' };
    await create('copied', { loadBalancerClass: 'example.com/other' }, { annotations });
    const place = { namespace: 'default', name: 'copied', subresource: 'status' };
    const body = { status: { loadBalancer: { ingress: [{ ip: '198.51.100.77' }] } } };
    const { metadata } = await plane.client.patch('services', place, { type: 'merge', body });
    await create('after');
    await expect.poll(() => ipsOf('after'), eventually).toEqual(['192.0.2.8']);
    await plane.controllers.drain();
    expect((await get('copied')).metadata.resourceVersion).toBe(metadata.resourceVersion);
  });

  test('takes another address where somebody else has it, and forgets the report', async () => {
    await create('moved');
    await expect.poll(() => ipsOf('moved'), eventually).toEqual(['192.0.2.8']);
    await patch('moved', { metadata: { annotations: { 'signalbox.dev/address-in-use': '192.0.2.8' } } });
    await expect.poll(() => ipsOf('moved'), eventually).toEqual(['192.0.2.9']);
    await expect
      .poll(async () => (await get('moved')).metadata.annotations, eventually)
      .toEqual({ 'signalbox.dev/address-pool': 'small' });
    await create('other');
    await expect.poll(() => eventsOf('other'), eventually).toEqual([expect.stringContaining('no free IPv4 address')]);
  });
});

test('loadBalancerController at its start gives to the oldest first, and nothing that somebody has', {
  timeout: 60_000,
}, async () => {
  const { client } = plane;
  await plane.controllers.stop();
  // In the order of their names the youngest is the first. Times of creation are in whole seconds.
  await create('order-c');
  await sleep(1_000);
  await create('order-b');
  await create('order-a');
  await client.patch(
    'services',
    { namespace: 'default', name: 'order-b', subresource: 'status' },
    { type: 'merge', body: { status: { loadBalancer: { ingress: [{ ip: '192.0.2.8' }] } } } },
  );
  const controllers = startSuccessors({ loadBalancer });
  await controllers.synced;
  await controllers.drain();
  expect([await ipsOf('order-a'), await ipsOf('order-b'), await ipsOf('order-c')]).toEqual([
    [],
    ['192.0.2.8'],
    ['192.0.2.9'],
  ]);
});

test('loadBalancerController gives the other family to who can have two, as soon as there is one', {
  timeout: 60_000,
}, async () => {
  const dual = await startControlPlane(
    {
      controllers: ['loadbalancer'],
      loadBalancer: { pools: [{ name: 'p', addresses: ['192.0.2.0/28', 'fd00::8/128'] }] },
    },
    { serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'] },
  );
  try {
    const ips = async (name: string) =>
      (await dual.client.get('services', { namespace: 'default', name })).status?.loadBalancer?.ingress?.map(
        ({ ip }) => ip,
      );
    for (const name of ['first', 'second', 'third'])
      await dual.client.create('services', {
        metadata: { namespace: 'default', name },
        spec: { type: 'LoadBalancer', ipFamilyPolicy: 'PreferDualStack', ports: [{ port: 80 }] },
      });
    await expect.poll(() => ips('first'), eventually).toEqual(['192.0.2.1', 'fd00::8']);
    await expect
      .poll(async () => [await ips('second'), await ips('third')], eventually)
      .toEqual([['192.0.2.2'], ['192.0.2.3']]);
    await dual.client.delete('services', { namespace: 'default', name: 'first' });
    await expect.poll(() => ips('second'), eventually).toEqual(['192.0.2.2', 'fd00::8']);
    expect(await ips('third')).toEqual(['192.0.2.3']);
  } finally {
    await dual.close();
  }
});

test('loadBalancerController that follows another leaves addresses as they are, and moves those of pools that are gone', {
  timeout: 60_000,
}, async () => {
  const { client } = plane;
  await create('asked', {}, { annotations: { 'signalbox.dev/load-balancer-ips': '203.0.113.9' } });
  await create('plain');
  await expect
    .poll(async () => [await ipsOf('asked'), await ipsOf('plain')], eventually)
    .toEqual([['203.0.113.9'], [expect.stringMatching(/^192\.0\.2\./)]]);
  const before = await get('asked');
  await plane.controllers.stop();
  const pools = [{ name: 'other', addresses: ['198.51.100.0/28'] }, loadBalancer.pools[1]];
  const controllers = startSuccessors({ loadBalancer: { pools } });
  await expect.poll(() => ipsOf('plain'), eventually).toEqual(['198.51.100.1']);
  expect((await get('asked')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  await controllers.stop();
  // Without any pool no address is given, and what a controller before left can still be deleted.
  const without = startSuccessors({});
  await without.synced;
  await client.delete('services', { namespace: 'default', name: 'plain' });
  await expect.poll(() => get('plain').catch(({ code }) => code), eventually).toBe(404);
  expect(await ipsOf('asked')).toEqual(['203.0.113.9']);
});
