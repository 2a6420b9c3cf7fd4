import type { EndpointHints } from '../../api/generated/types.ts';

/** Where an endpoint runs, as far as that is known. */
export interface EndpointPlace {
  readonly nodeName: string | undefined;
  readonly zone: string | undefined;
}

/**
 * For whose clients an endpoint is meant by its Service's `trafficDistribution`: those of its zone (`PreferSameZone`,
 * and `PreferClose`, its first name: KEP-4444), or those of its node, and of its zone for nodes that have none
 * (`PreferSameNode`: KEP-3015). `undefined`: everybody's, and so it is where the place is not known.
 */
export function endpointHints(distribution: string | undefined, place: EndpointPlace): EndpointHints | undefined {
  const { nodeName, zone } = place;
  const forZones = zone === undefined ? {} : { forZones: [{ name: zone }] };
  switch (distribution) {
    case 'PreferSameZone':
    case 'PreferClose':
      return zone === undefined ? undefined : forZones;
    case 'PreferSameNode':
      return nodeName === undefined ? undefined : { forNodes: [{ name: nodeName }], ...forZones };
    default:
      return undefined;
  }
}
