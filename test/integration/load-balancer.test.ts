import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Service } from '../../src/api/generated/types.ts';
import { parseControllersConfig } from '../../src/controllers/config.ts';
import { startControllers } from '../../src/controllers/run.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';

const loadBalancer = {
  pools: [
    { name: 'small', addresses: ['192.0.2.8-192.0.2.9'] },
    { name: 'asked', addresses: ['203.0.113.0/24'], autoAssign: false },
  ],
};
let plane: ControlPlane;
beforeAll(async () => {
  plane = await startControlPlane({ controllers: ['loadbalancer'], loadBalancer });
});
afterAll(() => plane.close());
beforeEach(async () => {
  for (const { metadata } of (await plane.client.list('services', { namespace: 'default' })).items)
    if (metadata.name !== 'kubernetes') await plane.client.delete('services', metadata);
  await expect.poll(async () => (await plane.client.list('services', { namespace: 'default' })).items.length).toBe(1);
});

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
const patch = (name: string, body: object) =>
  plane.client.patch('services', { namespace: 'default', name }, { type: 'merge', body });
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

test('loadBalancerController that follows another leaves addresses as they are, and moves those of pools that are gone', {
  timeout: 60_000,
}, async () => {
  const { server, client } = plane;
  await create('asked', {}, { annotations: { 'signalbox.dev/load-balancer-ips': '203.0.113.9' } });
  await create('plain');
  await expect
    .poll(async () => [await ipsOf('asked'), await ipsOf('plain')], eventually)
    .toEqual([['203.0.113.9'], [expect.stringMatching(/^192\.0\.2\./)]]);
  const before = await get('asked');
  await plane.controllers.stop();
  const pools = [{ name: 'other', addresses: ['198.51.100.0/28'] }, loadBalancer.pools[1]];
  const controllers = startControllers(
    parseControllersConfig({ controllers: ['loadbalancer'], loadBalancer: { pools } }),
    {
      client: server.admin,
      rootCertificate: undefined,
      log: pino({ level: 'silent' }),
    },
  );
  plane = { server, client, controllers, close: plane.close };
  await expect.poll(() => ipsOf('plain'), eventually).toEqual(['198.51.100.1']);
  expect((await get('asked')).metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  await controllers.stop();
});
