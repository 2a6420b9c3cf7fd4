import type { Endpoint, EndpointPort, Pod, Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import type { IpFamily } from '../../net/ip.ts';
import { isFinished, isReady, isTerminating } from '../pod-state.ts';
import { endpointHints } from './hints.ts';
import { addressTypes, endpointHostname, podAddress, portsOn, targetReference } from './pod-endpoints.ts';

/** Endpoints that can be in one slice: of one family, with the same ports. */
export interface EndpointGroup {
  readonly addressType: IpFamily;
  readonly ports: readonly EndpointPort[];
  readonly endpoints: readonly Endpoint[];
}

/** What endpoints are made from. */
export interface EndpointsInput {
  readonly service: Stored<Service>;
  /** Those the Service selects. */
  readonly pods: readonly Stored<Pod>[];
  /** Zone of a node by its name. */
  readonly zoneOf: (node: string) => string | undefined;
}

/** The endpoints a Service is to have, each family in at least one group: an empty one says that there are none. */
export function desiredGroups({ service, pods, zoneOf }: EndpointsInput): EndpointGroup[] {
  return addressTypes(service).flatMap((addressType) => {
    const groups = new Map<string, { ports: EndpointPort[]; endpoints: Endpoint[] }>();
    for (const pod of pods) {
      const address = podAddress(pod, addressType);
      if (address === undefined || isFinished(pod)) continue;
      const ports = portsOn(service, pod);
      const key = JSON.stringify(ports);
      const group = groups.get(key) ?? { ports, endpoints: [] };
      group.endpoints.push(podEndpoint({ service, pod, address, zoneOf }));
      groups.set(key, group);
    }
    const found = [...groups.values()].map((group) => ({ addressType, ...group }));
    return found.length === 0 ? [{ addressType, ports: [], endpoints: [] }] : found;
  });
}

function podEndpoint(of: {
  readonly service: Stored<Service>;
  readonly pod: Stored<Pod>;
  readonly address: string;
  readonly zoneOf: EndpointsInput['zoneOf'];
}): Endpoint {
  const { service, pod } = of;
  const nodeName = pod.spec?.nodeName || undefined;
  const zone = nodeName === undefined ? undefined : of.zoneOf(nodeName);
  const hostname = endpointHostname(service, pod);
  // KEP-1672: serving is readiness alone; ready means that new connections are welcome.
  const serving = isReady(pod);
  const terminating = isTerminating(pod);
  const ready = service.spec?.publishNotReadyAddresses === true || (serving && !terminating);
  // Where nobody is ready, all that serve are taken, wherever they are.
  const hints = ready ? endpointHints(service.spec?.trafficDistribution, { nodeName, zone }) : undefined;
  return {
    addresses: [of.address],
    conditions: { ready, serving, terminating },
    ...(hints === undefined ? {} : { hints }),
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(zone === undefined ? {} : { zone }),
    targetRef: targetReference(pod),
  };
}
