import type { ContainerPort, EndpointPort, Pod, Service } from '../../api/generated/types.ts';
import type { Stored } from '../../api/object.ts';
import { familyOf, type IpFamily, tryParseIp } from '../../net/ip.ts';

/** The families a Service's slices have addresses of, one set of slices each. */
export function addressTypes({ spec }: Service): readonly IpFamily[] {
  const families = (spec?.ipFamilies ?? []).filter(
    (family): family is IpFamily => family === 'IPv4' || family === 'IPv6',
  );
  if (families.length > 0) return families;
  const clusterIp = tryParseIp(spec?.clusterIP ?? '');
  return [clusterIp === undefined ? 'IPv4' : familyOf(clusterIp)];
}

/** The Pod's address of a family. */
export function podAddress({ status }: Pod, family: IpFamily): string | undefined {
  const addresses = status?.podIPs?.map(({ ip }) => ip) ?? [status?.podIP ?? ''];
  return addresses.find((address) => {
    const ip = tryParseIp(address);
    return ip !== undefined && familyOf(ip) === family;
  });
}

/**
 * A Service's ports as they are on one Pod: numbers for names, which may differ from Pod to Pod. A port whose name no
 * container of the Pod has is left out.
 */
export function portsOn(service: Service, pod: Pod): EndpointPort[] {
  return (service.spec?.ports ?? []).flatMap((port) => {
    const number = targetPort(port.targetPort ?? port.port, port.protocol ?? 'TCP', pod);
    if (number === undefined) return [];
    return {
      name: port.name ?? '',
      port: number,
      protocol: port.protocol ?? 'TCP',
      ...(port.appProtocol === undefined ? {} : { appProtocol: port.appProtocol }),
    };
  });
}

function targetPort(target: number | string, protocol: string, pod: Pod): number | undefined {
  if (typeof target === 'number') return target;
  const sidecars = (pod.spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === 'Always');
  const isTarget = (port: ContainerPort) => port.name === target && (port.protocol ?? 'TCP') === protocol;
  for (const { ports } of [...(pod.spec?.containers ?? []), ...sidecars]) {
    const found = ports?.find(isTarget);
    if (found !== undefined) return found.containerPort;
  }
  return undefined;
}

/** The name by which DNS knows the Pod under a headless Service, if it asks for one. */
export function endpointHostname(service: Stored<Service>, { metadata, spec }: Stored<Pod>): string | undefined {
  const named =
    spec?.hostname && spec.subdomain === service.metadata.name && metadata.namespace === service.metadata.namespace;
  return named ? spec.hostname : undefined;
}

export function targetReference({ metadata }: Stored<Pod>) {
  return { kind: 'Pod', namespace: metadata.namespace ?? '', name: metadata.name, uid: metadata.uid };
}
