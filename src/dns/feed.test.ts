import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { connect } from '../client/client.ts';
import type { ApiClient } from '../client/types.ts';
import { type Feed, feedZone } from './feed.ts';
import { DnsMetrics } from './metrics.ts';
import { SmallApi } from './testing/api.ts';
import { ask, lines } from './testing/ask.ts';
import { emptyZone, pod, service, slice } from './testing/objects.ts';
import { dump } from './testing/plain-zone.ts';
import { responderOf } from './testing/responder.ts';
import { silent } from './testing/servers.ts';
import type { ClusterZone } from './zone.ts';

let api: SmallApi;
let client: ApiClient;
let zone: ClusterZone;
let feed: Feed | undefined;

beforeEach(async () => {
  api = new SmallApi();
  await api.start();
  client = connect({ server: api.url });
});

afterEach(async () => {
  feed?.close();
  client.close();
  await api.stop();
});

const everything = { labels: undefined, namespaceLabels: undefined, noEndpoints: false, pods: 'insecure' as const };

async function follow(settings: Partial<Parameters<typeof feedZone>[0]['settings']> = {}): Promise<Feed> {
  const all = { ...everything, ...settings };
  zone = emptyZone({ pods: all.pods });
  feed = feedZone({ zone, settings: all, client, log: silent, metrics: new DnsMetrics() });
  await feed.synced;
  return feed;
}

const labelled = (object: object, labels: { readonly [name: string]: string }) => {
  const { metadata = {} } = object as { metadata?: { labels?: object } };
  return { ...object, metadata: { labels: { ...metadata.labels, ...labels } } };
};
const has = (name: string) => dump(zone).has(`${name}.cluster.local.`);

describe('feedZone', () => {
  test('follows what the selectors choose', async () => {
    api.put('namespaces', 'one', labelled({}, { team: 'a' }));
    api.put('namespaces', 'two', {});
    for (const namespace of ['one', 'two']) {
      api.put('services', `${namespace}/shown`, labelled(service(['10.0.0.1']), { dns: 'yes' }));
      api.put('services', `${namespace}/hidden`, service(['10.0.0.2']));
    }
    api.put('services', 'one/pets', labelled(service(['None']), { dns: 'yes' }));
    api.put('endpointslices', 'one/pets-a', labelled(slice('pets', ['10.1.0.1']), { dns: 'yes' }));
    api.put('endpointslices', 'one/pets-b', slice('pets', ['10.1.0.2']));
    await follow({ labels: 'dns=yes', namespaceLabels: 'team in (a, b)' });
    expect([has('shown.one.svc'), has('hidden.one.svc')]).toEqual([true, false]);
    expect([has('two.svc'), has('shown.two.svc')]).toEqual([false, false]);
    expect(dump(zone).get('pets.one.svc.cluster.local.')).toEqual(['1 10.1.0.1']);
    api.put('namespaces', 'two', labelled({}, { team: 'b' }));
    await expect.poll(() => has('shown.two.svc')).toBe(true);
    api.put('namespaces', 'two', labelled({}, { team: 'c' }));
    await expect.poll(() => has('two.svc')).toBe(false);
  });

  test('follows Pods where they are to be verified, as long as they live', async () => {
    api.put('namespaces', 'one', {});
    api.put('pods', 'one/web', pod(['10.1.0.1']));
    await follow({ pods: 'verified' });
    expect([has('10-1-0-1.one.pod'), has('10-1-0-2.one.pod')]).toEqual([true, false]);
    api.put('pods', 'one/new', pod(['10.1.0.2']));
    await expect.poll(() => has('10-1-0-2.one.pod')).toBe(true);
    api.put('pods', 'one/web', pod(['10.1.0.1'], 'Failed'));
    await expect.poll(() => has('10-1-0-1.one.pod')).toBe(false);
    api.delete('pods', 'one/new');
    await expect.poll(() => has('10-1-0-2.one.pod')).toBe(false);
  });

  test('leaves endpoints alone where they are not wanted', async () => {
    api.put('namespaces', 'one', {});
    api.put('services', 'one/pets', service(['None']));
    api.put('services', 'one/web', service(['10.0.0.1']));
    api.put('endpointslices', 'one/pets-a', slice('pets', ['10.1.0.1']));
    await follow({ noEndpoints: true });
    expect([has('web.one.svc'), has('pets.one.svc')]).toEqual([true, false]);
  });

  test('says how long the API has been away, and serves on', async () => {
    api.put('namespaces', 'one', {});
    api.put('services', 'one/web', service(['10.0.0.1']));
    const { age, isReady } = await follow();
    await expect.poll(age).toBe(0);
    await api.stop();
    await expect.poll(age).toBeGreaterThan(0.05);
    expect(isReady()).toBe(true);
    expect(has('web.one.svc')).toBe(true);
    await api.start();
    await expect.poll(age).toBe(0);
  });

  test('has a change in the answers within 10 ms of the event', async () => {
    api.put('namespaces', 'one', {});
    api.put('services', 'one/pets', service(['None']));
    const others = Array.from({ length: 99 }, (_, i) => `10.1.1.${i}`);
    api.put('endpointslices', 'one/pets-a', slice('pets', [...others, '10.1.0.1'], 'http:80'));
    await follow();
    const responder = responderOf({ zone });
    const answer = async () =>
      lines((await ask(responder, { name: 'pets.one.svc.cluster.local', type: 'A', transport: 'tcp' })).answers);
    let fastest = Number.POSITIVE_INFINITY;
    // The machine may be busy with other things for some of the time; not for all of it.
    for (let i = 0; i < 1000 && fastest >= 10; i++) {
      const address = `10.1.${2 + (i >> 8)}.${i & 255}`;
      const started = performance.now();
      api.put('endpointslices', 'one/pets-a', slice('pets', [...others, address], 'http:80'));
      while (!(await answer()).includes(`pets.one.svc.cluster.local A ${address}`))
        await new Promise((resolve) => setImmediate(resolve));
      fastest = Math.min(fastest, performance.now() - started);
    }
    expect(fastest).toBeLessThan(10);
  }, 60_000);
});
