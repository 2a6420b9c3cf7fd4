import { isDeepStrictEqual } from 'node:util';
import type {
  CoreEndpointPort,
  EndpointAddress,
  EndpointSubset,
  Endpoints,
  Pod,
  Service,
} from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { headlessLabel, triggerTimeAnnotation } from '../../api/well-known.ts';
import { isHeadless } from '../endpointslice/controller.ts';
import {
  addressTypes,
  endpointHostname,
  podAddress,
  portsOn,
  targetReference,
} from '../endpointslice/pod-endpoints.ts';
import { isFinished, isReady, isTerminating } from '../pod-state.ts';
import type { Write } from '../write.ts';

/** Label on Endpoints that are made here, not by hand. */
export const managedByLabel = 'endpoints.kubernetes.io/managed-by';
export const managedBy = 'endpoint-controller';
const overCapacityAnnotation = 'endpoints.kubernetes.io/over-capacity';
/** Addresses that one Endpoints object takes; slices have no such bound. */
const maxAddresses = 1000;

/** What the Endpoints of one Service are made from. */
export interface EndpointsPlanInput {
  readonly service: Stored<Service>;
  readonly pods: readonly Stored<Pod>[];
  readonly existing: Stored<Endpoints> | undefined;
  /** With the time of the change. */
  readonly annotations: { readonly [key: string]: string };
}

/** The write that brings the Endpoints of a Service up to date; none when they are. */
export function planEndpoints({ service, pods, existing, annotations }: EndpointsPlanInput): Write[] {
  const { subsets, truncated } = limitAddresses(desiredSubsets(service, pods));
  const labels = {
    ...service.metadata.labels,
    ...(isHeadless(service) ? { [headlessLabel]: '' } : {}),
    [managedByLabel]: managedBy,
  };
  const {
    [overCapacityAnnotation]: wasTruncated,
    [triggerTimeAnnotation]: _,
    ...kept
  } = existing?.metadata.annotations ?? {};
  const same =
    isDeepStrictEqual(existing?.subsets ?? [], subsets) &&
    isDeepStrictEqual(existing?.metadata.labels ?? {}, labels) &&
    (wasTruncated === 'truncated') === truncated;
  if (existing !== undefined && same) return [];
  const { name, namespace = '' } = service.metadata;
  const object: Endpoints = {
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: {
      ...(existing?.metadata ?? { name, namespace }),
      labels,
      annotations: { ...kept, ...annotations, ...(truncated ? { [overCapacityAnnotation]: 'truncated' } : {}) },
    },
    subsets,
  };
  return [{ verb: existing === undefined ? 'create' : 'update', resource: 'endpoints', object }];
}

/** Addresses that share their ports share a subset; all in a stable order. */
function desiredSubsets(service: Stored<Service>, pods: readonly Stored<Pod>[]): EndpointSubset[] {
  const [family = 'IPv4'] = addressTypes(service);
  const all = service.spec?.publishNotReadyAddresses === true;
  const groups = new Map<
    string,
    { ports: CoreEndpointPort[]; ready: EndpointAddress[]; notReady: EndpointAddress[] }
  >();
  for (const pod of pods) {
    const ip = podAddress(pod, family);
    if (ip === undefined || isFinished(pod) || (isTerminating(pod) && !all)) continue;
    const ports = subsetPorts(service, pod);
    if (ports.length === 0 && (service.spec?.ports ?? []).length > 0) continue;
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, ready: [], notReady: [] };
    group[all || isReady(pod) ? 'ready' : 'notReady'].push(endpointAddress(service, pod, ip));
    groups.set(key, group);
  }
  const byIp = (a: EndpointAddress, b: EndpointAddress) => (a.ip < b.ip ? -1 : 1);
  return [...groups]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { ports, ready, notReady }]) => ({
      ...(ready.length === 0 ? {} : { addresses: ready.sort(byIp) }),
      ...(notReady.length === 0 ? {} : { notReadyAddresses: notReady.sort(byIp) }),
      ...(ports.length === 0 ? {} : { ports }),
    }));
}

function subsetPorts(service: Service, pod: Pod): CoreEndpointPort[] {
  return portsOn(service, pod).map(({ name, port = 0, protocol = 'TCP', appProtocol }) => ({
    ...(name ? { name } : {}),
    port,
    protocol,
    ...(appProtocol === undefined ? {} : { appProtocol }),
  }));
}

function endpointAddress(service: Stored<Service>, pod: Stored<Pod>, ip: string): EndpointAddress {
  const hostname = endpointHostname(service, pod);
  const nodeName = pod.spec?.nodeName;
  return {
    ip,
    ...(hostname === undefined ? {} : { hostname }),
    ...(nodeName ? { nodeName } : {}),
    targetRef: targetReference(pod),
  };
}

/** Cuts to the capacity: addresses that are not ready go first. */
function limitAddresses(subsets: EndpointSubset[]): {
  readonly subsets: EndpointSubset[];
  readonly truncated: boolean;
} {
  const count = (list: 'addresses' | 'notReadyAddresses') => subsets.reduce((n, s) => n + (s[list]?.length ?? 0), 0);
  const ready = count('addresses');
  if (ready + count('notReadyAddresses') <= maxAddresses) return { subsets, truncated: false };
  let readyLeft = Math.min(ready, maxAddresses);
  let notReadyLeft = maxAddresses - readyLeft;
  const limited = subsets.flatMap(({ addresses = [], notReadyAddresses = [], ...rest }) => {
    const some = addresses.slice(0, readyLeft);
    const others = notReadyAddresses.slice(0, notReadyLeft);
    readyLeft -= some.length;
    notReadyLeft -= others.length;
    if (some.length + others.length === 0) return [];
    return {
      ...(some.length === 0 ? {} : { addresses: some }),
      ...(others.length === 0 ? {} : { notReadyAddresses: others }),
      ...rest,
    };
  });
  return { subsets: limited, truncated: true };
}
