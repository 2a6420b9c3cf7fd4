import { describe, expect, it } from 'vitest';
import { endpointHints } from './hints.ts';

const place = { nodeName: 'node-1', zone: 'a' };
const forZones = [{ name: 'a' }];

describe('endpointHints', () => {
  it('are for the zone, under either name of that wish', () => {
    expect(endpointHints('PreferSameZone', place)).toEqual({ forZones });
    expect(endpointHints('PreferClose', place)).toEqual({ forZones });
  });

  it('are for the node, and for the zone of nodes without', () => {
    expect(endpointHints('PreferSameNode', place)).toEqual({ forNodes: [{ name: 'node-1' }], forZones });
    expect(endpointHints('PreferSameNode', { ...place, zone: undefined })).toEqual({ forNodes: [{ name: 'node-1' }] });
  });

  it('are not there where nobody wishes so, or the place is not known', () => {
    expect(endpointHints(undefined, place)).toBeUndefined();
    expect(endpointHints('PreferSameZone', { ...place, zone: undefined })).toBeUndefined();
    expect(endpointHints('PreferSameNode', { nodeName: undefined, zone: undefined })).toBeUndefined();
  });
});
