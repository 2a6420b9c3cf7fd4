import type { CoreEndpointPort, Endpoint, EndpointAddress, Endpoints } from '../../api/generated/types.ts';
import { familyOf, type IpFamily, tryParseIp } from '../../net/ip.ts';
import type { EndpointGroup } from '../endpointslice/desired.ts';

/** Addresses of one subset that are mirrored; the rest is left out. */
export const maxMirroredPerSubset = 1000;

/** The content of hand-made Endpoints as slices hold it. What is no IP address is left out. */
export function mirroredGroups(endpoints: Endpoints): EndpointGroup[] {
  const groups = new Map<
    string,
    { addressType: IpFamily; ports: ReturnType<typeof slicePorts>; byIp: Map<string, Endpoint> }
  >();
  for (const { addresses = [], notReadyAddresses = [], ports = [] } of endpoints.subsets ?? []) {
    const all = [
      ...addresses.map((address) => ({ address, ready: true })),
      ...notReadyAddresses.map((address) => ({ address, ready: false })),
    ];
    for (const { address, ready } of all.slice(0, maxMirroredPerSubset)) {
      const ip = tryParseIp(address.ip);
      if (ip === undefined) continue;
      const key = `${familyOf(ip)} ${JSON.stringify(slicePorts(ports))}`;
      const group = groups.get(key) ?? { addressType: familyOf(ip), ports: slicePorts(ports), byIp: new Map() };
      if (!group.byIp.has(ip)) group.byIp.set(ip, mirroredEndpoint(address, ready));
      groups.set(key, group);
    }
  }
  return [...groups.values()].map(({ addressType, ports, byIp }) => ({
    addressType,
    ports,
    endpoints: [...byIp.values()],
  }));
}

/** How many addresses are left out because their subset has too many. */
export function countSkipped({ subsets = [] }: Endpoints): number {
  const sizes = subsets.map(
    ({ addresses = [], notReadyAddresses = [] }) => addresses.length + notReadyAddresses.length,
  );
  return sizes.reduce((sum, size) => sum + Math.max(0, size - maxMirroredPerSubset), 0);
}

function slicePorts(ports: readonly CoreEndpointPort[]) {
  return ports.map(({ name = '', port, protocol = 'TCP', appProtocol }) => ({
    name,
    port,
    protocol,
    ...(appProtocol === undefined ? {} : { appProtocol }),
  }));
}

function mirroredEndpoint({ ip, hostname, nodeName, targetRef }: EndpointAddress, ready: boolean): Endpoint {
  return {
    addresses: [ip],
    conditions: { ready },
    ...(hostname ? { hostname } : {}),
    ...(nodeName ? { nodeName } : {}),
    ...(targetRef === undefined ? {} : { targetRef }),
  };
}
