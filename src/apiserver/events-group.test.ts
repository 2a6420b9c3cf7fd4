import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { callServer, startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({ authenticate: () => ({ name: 'admin', groups: ['system:masters'] }) });
});
afterAll(() => server.close());

const core = '/api/v1/namespaces/default/events';
const group = '/apis/events.k8s.io/v1/namespaces/default/events';
const call = (method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE', path: string, body?: unknown) =>
  callServer(server, method, path, { body });
const mergePatch = (path: string, body: unknown) =>
  callServer(server, 'PATCH', path, { body, headers: { 'content-type': 'application/merge-patch+json' } });

const newEvent = (name: string, more: object = {}) => ({
  apiVersion: 'events.k8s.io/v1',
  kind: 'Event',
  metadata: { name },
  eventTime: '2026-01-02T03:04:05.000006Z',
  reportingController: 'example.com/watcher',
  reportingInstance: 'watcher-1',
  action: 'Watching',
  reason: 'Seen',
  regarding: { apiVersion: 'v1', kind: 'Pod', name: 'p', namespace: 'default', uid: 'u-1' },
  note: 'it was there',
  type: 'Normal',
  ...more,
});

describe('events.k8s.io', () => {
  test('shows the Events of the core group, by its own field names', async () => {
    await call('POST', core, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'old' },
      involvedObject: { kind: 'Service', name: 's', namespace: 'default' },
      source: { component: 'proxy', host: 'node-1' },
      reason: 'Synced',
      message: 'all is well',
      count: 3,
      firstTimestamp: '2026-01-02T03:04:05Z',
      lastTimestamp: '2026-01-02T03:05:05Z',
      type: 'Normal',
    });
    const { body } = await call('GET', `${group}/old`);
    expect(body).toMatchObject({
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      regarding: { kind: 'Service', name: 's' },
      deprecatedSource: { component: 'proxy', host: 'node-1' },
      note: 'all is well',
      deprecatedCount: 3,
      deprecatedFirstTimestamp: '2026-01-02T03:04:05Z',
      deprecatedLastTimestamp: '2026-01-02T03:05:05Z',
    });
    for (const field of ['involvedObject', 'source', 'message', 'count']) expect(body).not.toHaveProperty(field);
    const { body: list } = await call('GET', `${group}?fieldSelector=metadata.name=old`);
    expect([list.kind, list.apiVersion, list.items[0].note]).toEqual(['EventList', 'events.k8s.io/v1', 'all is well']);
  });

  test('takes new Events, which the core group shows by its names', async () => {
    const created = await call('POST', group, newEvent('new'));
    expect([created.code, created.body.note]).toEqual([201, 'it was there']);
    const { body } = await call('GET', `${core}/new`);
    expect(body).toMatchObject({
      apiVersion: 'v1',
      involvedObject: { uid: 'u-1' },
      message: 'it was there',
      reportingComponent: 'example.com/watcher',
      metadata: { uid: created.body.metadata.uid, resourceVersion: created.body.metadata.resourceVersion },
    });
    expect(body).not.toHaveProperty('note');
  });

  test('field selectors go by the names of each version, and by no others', async () => {
    await call('POST', group, newEvent('selected', { regarding: { kind: 'Node', name: 'n', namespace: 'default' } }));
    const names = async (path: string) =>
      (await call('GET', path)).body.items.map(({ metadata }: { metadata: { name: string } }) => metadata.name);
    expect(await names(`${group}?fieldSelector=regarding.kind=Node,reportingController=example.com/watcher`)).toEqual([
      'selected',
    ]);
    expect(
      await names(`${core}?fieldSelector=involvedObject.kind=Node,reportingComponent=example.com/watcher`),
    ).toEqual(['selected']);
    const refused = await call('GET', `${group}?fieldSelector=involvedObject.kind=Node`);
    expect(refused.code).toBe(400);
    expect(refused.body.message).toContain('field label not supported: involvedObject.kind');
    expect((await call('GET', `${core}?fieldSelector=regarding.kind=Node`)).code).toBe(400);
  });

  test('asks more of new Events than the core group, and lets only their series change', async () => {
    const { eventTime: _, ...timeless } = newEvent('bad', { type: 'Odd', deprecatedCount: 1 });
    const refused = await call('POST', group, timeless);
    expect(refused.code).toBe(422);
    expect(refused.body.details.causes.map(({ field }: { field: string }) => field)).toEqual([
      'eventTime',
      'type',
      'count',
    ]);
    await call('POST', group, newEvent('series'));
    const lastObservedTime = '2026-01-02T04:00:00.000000Z';
    const grown = await mergePatch(`${group}/series`, { series: { count: 2, lastObservedTime } });
    expect([grown.code, grown.body.series.count]).toEqual([200, 2]);
    const changed = await mergePatch(`${group}/series`, { note: 'something else' });
    expect([changed.code, changed.body.details.causes[0].message]).toEqual([
      422,
      'Invalid value: "something else": field is immutable',
    ]);
    // Through the core group it is the older, laxer kind.
    expect((await mergePatch(`${core}/series`, { message: 'something else' })).code).toBe(200);
  });

  test('says whose fields are whose by the names of each writer, and who changes takes over', async () => {
    await call('POST', `${group}?fieldManager=one`, newEvent('owned'));
    await mergePatch(`${core}/owned?fieldManager=two`, { message: 'by two' });
    const { body } = await call('GET', `${group}/owned`);
    const [one, two] = body.metadata.managedFields;
    expect(one).toMatchObject({ manager: 'one', apiVersion: 'events.k8s.io/v1', fieldsV1: { 'f:regarding': {} } });
    expect(one.fieldsV1).not.toHaveProperty('f:note');
    expect(two).toMatchObject({ manager: 'two', apiVersion: 'v1', fieldsV1: { 'f:message': {} } });
  });

  test('applies, deletes and watches in its own version', async () => {
    const applied = await callServer(server, 'PATCH', `${group}/applied?fieldManager=me`, {
      body: newEvent('applied'),
      headers: { 'content-type': 'application/apply-patch+yaml' },
    });
    expect([applied.code, applied.body.note]).toEqual([201, 'it was there']);
    expect(applied.body.metadata.managedFields[0].fieldsV1).toHaveProperty('f:note');
    const again = await callServer(server, 'PATCH', `${group}/applied?fieldManager=me`, {
      body: newEvent('applied'),
      headers: { 'content-type': 'application/apply-patch+yaml' },
    });
    expect(again.body.metadata.resourceVersion).toBe(applied.body.metadata.resourceVersion);
    const watched = await call('GET', `${group}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name=applied`);
    const [first] = String(typeof watched.body === 'string' ? watched.body : JSON.stringify(watched.body)).split('\n');
    expect(JSON.parse(first ?? '')).toMatchObject({ type: 'ADDED', object: { note: 'it was there' } });
    const deleted = await call('DELETE', `${group}?fieldSelector=metadata.name=applied`);
    expect(deleted.body).toMatchObject({ kind: 'EventList', items: [{ note: 'it was there' }] });
    expect((await call('GET', `${core}/applied`)).code).toBe(404);
  });

  test('is discovered, as a second version of the same short name', async () => {
    const { body } = await call('GET', '/apis/events.k8s.io/v1');
    expect(body.resources).toMatchObject([{ name: 'events', kind: 'Event', namespaced: true, shortNames: ['ev'] }]);
    const { body: groups } = await call('GET', '/apis');
    expect(groups.groups.map(({ name }: { name: string }) => name)).toContain('events.k8s.io');
    const { body: openapi } = await call('GET', '/openapi/v3/apis/events.k8s.io/v1');
    expect(openapi.components.schemas['io.k8s.api.events.v1.Event'].properties).toHaveProperty('regarding');
  });
});
