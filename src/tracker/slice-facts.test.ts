import { describe, expect, it } from 'vitest';
import type { EndpointConditions, EndpointSlice } from '../api/generated/types.ts';
import { readSlice, triggerTime } from './slice-facts.ts';

function slice(rest: Partial<EndpointSlice> = {}): EndpointSlice {
  return {
    metadata: { namespace: 'default', name: 'hello-x', labels: { 'kubernetes.io/service-name': 'hello' } },
    addressType: 'IPv4',
    ports: [{ name: '', protocol: 'TCP', port: 8080 }],
    endpoints: [{ addresses: ['10.244.1.2'], nodeName: 'node-1', conditions: { ready: true } }],
    ...rest,
  };
}

describe('readSlice', () => {
  it('reads service, family, ports and endpoints', () => {
    expect(readSlice(slice())).toEqual({
      key: 'default/hello-x',
      service: 'default/hello',
      family: 'IPv4',
      ports: [{ name: '', protocol: 'TCP', port: 8080 }],
      endpoints: [{ ip: '10.244.1.2', node: 'node-1', draining: false }],
    });
  });

  it.each<[EndpointConditions, boolean | undefined]>([
    [{}, false],
    [{ ready: true, serving: false, terminating: true }, false], // publishNotReadyAddresses
    [{ ready: false, serving: true, terminating: true }, true],
    [{ ready: false, terminating: true }, true],
    [{ ready: false, serving: true, terminating: false }, undefined],
    [{ ready: false, serving: false, terminating: true }, undefined],
  ])('of conditions %o knows whether the endpoint drains, or can never be chosen', (conditions, draining) => {
    const facts = readSlice(slice({ endpoints: [{ addresses: ['10.244.1.2'], conditions }] }));
    expect(facts?.endpoints.map((endpoint) => endpoint.draining)).toEqual(draining === undefined ? [] : [draining]);
  });

  it('reads for which nodes and zones an endpoint is meant', () => {
    const hints = { forNodes: [{ name: 'node-1' }], forZones: [{ name: 'a' }, { name: 'b' }] };
    const endpoints = [
      { addresses: ['10.244.1.2'], hints },
      { addresses: ['10.244.1.3'], hints: { forZones: [] } },
    ];
    expect(readSlice(slice({ endpoints }))?.endpoints).toEqual([
      { ip: '10.244.1.2', node: '', draining: false, forNodes: ['node-1'], forZones: ['a', 'b'] },
      { ip: '10.244.1.3', node: '', draining: false },
    ]);
  });

  it('ignores slices without Service and of host names', () => {
    expect(readSlice(slice({ metadata: { name: 'x' } }))).toBeUndefined();
    expect(readSlice(slice({ addressType: 'FQDN' }))).toBeUndefined();
  });

  it.each(['service-proxy-name', 'headless'])('ignores slices with the label %s', (label) => {
    const labels = { 'kubernetes.io/service-name': 'x', [`service.kubernetes.io/${label}`]: '' };
    expect(readSlice(slice({ metadata: { name: 'x', labels } }))).toBeUndefined();
  });

  it('reads a slice without endpoints as servers write it: null', () => {
    const empty = JSON.parse(JSON.stringify(slice(), (key, v) => (key === 'endpoints' || key === 'ports' ? null : v)));
    expect(readSlice(empty)).toMatchObject({ ports: [], endpoints: [] });
  });

  it('leaves out addresses of the other family and ports without number', () => {
    const facts = readSlice(slice({ endpoints: [{ addresses: ['fd00::1'] }], ports: [{ name: 'all' }] }));
    expect(facts).toMatchObject({ ports: [], endpoints: [] });
  });
});

describe('triggerTime', () => {
  const at = (iso: string) => ({
    ...slice(),
    metadata: { annotations: { 'endpoints.kubernetes.io/last-change-trigger-time': iso } },
  });

  it('is what the controller noted, unless that was before the start or after the arrival', () => {
    const times = { start: Date.UTC(2026, 0, 1), arrival: Date.UTC(2026, 0, 3) };
    expect(triggerTime(at('2026-01-02T00:00:00.250Z'), times)).toBe(Date.UTC(2026, 0, 2) + 250);
    expect(triggerTime(at('2025-12-31T00:00:00Z'), times)).toBe(times.arrival);
    expect(triggerTime(at('2026-01-04T00:00:00Z'), times)).toBe(times.arrival);
    expect(triggerTime(slice(), times)).toBe(times.arrival);
  });
});
