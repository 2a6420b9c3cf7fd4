import { describe, expect, it } from 'vitest';
import type { EndpointSlice, Service } from '../api/generated/types.ts';
import { ChangeTracker } from './change-tracker.ts';

const service: Service = {
  metadata: { namespace: 'default', name: 'hello', resourceVersion: '1' },
  spec: { clusterIPs: ['10.96.0.7'], ports: [{ port: 80 }] },
};
const slice: EndpointSlice = {
  metadata: {
    namespace: 'default',
    name: 'hello-x',
    labels: { 'kubernetes.io/service-name': 'hello' },
    annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': '1970-01-01T00:00:00.150Z' },
  },
  addressType: 'IPv4',
};

describe('ChangeTracker', () => {
  it('drops changes of what the proxy does not read', () => {
    const tracker = new ChangeTracker(0);
    expect(tracker.recordService('default/hello', service, 1)).toBe(true);
    tracker.take();
    const relabelled = { ...service, metadata: { ...service.metadata, resourceVersion: '2', labels: { a: 'b' } } };
    expect(tracker.recordService('default/hello', relabelled, 2)).toBe(false);
    expect(tracker.take()).toEqual({ services: [], slices: [] });
  });

  it('sees a Service that becomes one of another proxy as gone', () => {
    const tracker = new ChangeTracker(0);
    tracker.recordService('default/hello', service, 1);
    const [first] = tracker.take().services;
    const labels = { 'service.kubernetes.io/service-proxy-name': 'other' };
    tracker.recordService('default/hello', { ...service, metadata: { ...service.metadata, labels } }, 2);
    expect(tracker.take().services).toEqual([
      { key: 'default/hello', previous: first?.current, current: undefined, since: 2 },
    ]);
    expect(tracker.counts).toEqual({ services: 0, slices: 0 });
  });

  it('dates a slice by what its controller noted, a deletion by its arrival', () => {
    const tracker = new ChangeTracker(100);
    tracker.recordSlice('default/hello-x', slice, 200);
    expect(tracker.pendingCounts).toEqual({ services: 0, slices: 1 });
    expect(tracker.take().slices[0]?.since).toBe(150);
    tracker.recordSlice('default/hello-x', undefined, 300);
    expect(tracker.take().slices[0]?.since).toBe(300);
  });
});
