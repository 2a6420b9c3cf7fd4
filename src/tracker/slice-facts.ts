import type { Endpoint, EndpointHints, EndpointSlice } from '../api/generated/types.ts';
import { objectKey } from '../api/object.ts';
import { headlessLabel, serviceKeyOf, serviceProxyNameLabel, triggerTimeAnnotation } from '../api/well-known.ts';
import { familyOf, type Ip, type IpFamily, tryParseIp } from '../net/ip.ts';
import { isPort, isProtocol, type Protocol } from '../net/port.ts';
import { compact } from './compact.ts';

/** All that the node proxy reads of an EndpointSlice. Two slices with equal facts are the same to it. */
export interface SliceFacts {
  /** `namespace/name`. */
  readonly key: string;
  /** `namespace/name` of the Service it belongs to. */
  readonly service: string;
  readonly family: IpFamily;
  readonly ports: readonly SlicePortFacts[];
  /** Only those that may ever be chosen: ready, or on their way out and still serving. */
  readonly endpoints: readonly EndpointFacts[];
}

/** The port that all endpoints of a slice answer on for the Service port of the same name and protocol. */
interface SlicePortFacts {
  readonly name: string;
  readonly protocol: Protocol;
  readonly port: number;
}

/** One endpoint of a slice. */
export interface EndpointFacts {
  readonly ip: Ip;
  /** Empty when the slice does not say. */
  readonly node: string;
  /** Not ready any more, but terminating and still serving: taken when nobody is ready (KEP-1669). */
  readonly draining: boolean;
  /** Names of the nodes whose clients it is meant for (KEP-3015); absent when the slice does not say. */
  readonly forNodes?: readonly string[];
  /** Zones whose clients it is meant for (KEP-2433); absent when the slice does not say. */
  readonly forZones?: readonly string[];
}

/**
 * Reads an EndpointSlice as the node proxy sees it; `undefined` for those it has nothing to do with: without a
 * Service, of host names, of a headless Service, or of one that another proxy serves (KEP-752, KEP-2447).
 */
export function readSlice(slice: EndpointSlice): SliceFacts | undefined {
  const labels = slice.metadata?.labels ?? {};
  const service = serviceKeyOf(slice);
  const { addressType: family } = slice;
  if (service === undefined || serviceProxyNameLabel in labels || headlessLabel in labels) return undefined;
  if (family !== 'IPv4' && family !== 'IPv6') return undefined;
  return {
    key: objectKey(slice),
    service,
    family,
    // A port without number would mean all ports of the endpoint, which no Service port can ask for.
    ports: compact(
      (slice.ports ?? []).flatMap(({ name = '', protocol = 'TCP', port }) =>
        isProtocol(protocol) && isPort(port) ? [{ name, protocol, port }] : [],
      ),
    ),
    endpoints: compact((slice.endpoints ?? []).flatMap((endpoint) => readEndpoint(endpoint, family))),
  };
}

/**
 * When the change that led to this state of the slice happened: what the controller noted, or else `arrival`. All in
 * milliseconds since the epoch. A note from before `start` is about a change that nobody here was waiting for, one
 * from after `arrival` is by a clock ahead of ours: both count as the arrival.
 */
export function triggerTime(slice: EndpointSlice, times: { readonly start: number; readonly arrival: number }): number {
  const noted = Date.parse(slice.metadata?.annotations?.[triggerTimeAnnotation] ?? '');
  return noted >= times.start && noted <= times.arrival ? noted : times.arrival;
}

// Conditions that are absent mean: ready, serving, not terminating. Further addresses of an endpoint are the same
// endpoint, and a client may use the first.
function readEndpoint(
  { addresses, conditions = {}, nodeName = '', hints }: Endpoint,
  family: IpFamily,
): EndpointFacts[] {
  const ip = tryParseIp(addresses[0] ?? '');
  if (ip === undefined || familyOf(ip) !== family) return [];
  const { ready = true, serving = true, terminating = false } = conditions;
  if (!ready && !(serving && terminating)) return [];
  const facts: EndpointFacts = { ip, node: nodeName, draining: !ready };
  return [hints === undefined ? facts : { ...facts, ...readHints(hints) }];
}

function readHints({ forNodes = [], forZones = [] }: EndpointHints): Pick<EndpointFacts, 'forNodes' | 'forZones'> {
  return {
    ...(forNodes.length === 0 ? {} : { forNodes: compact(forNodes.map(({ name }) => name)) }),
    ...(forZones.length === 0 ? {} : { forZones: compact(forZones.map(({ name }) => name)) }),
  };
}
