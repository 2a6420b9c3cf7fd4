import type { Frontend, ServicePort } from '../../model/types.ts';
import { familyOf, type Ip, type IpFamily } from '../../net/ip.ts';
import type { ElementGroup, Elements } from '../../rules/nftables/elements.ts';
import type { Element, TransportProtocol, Value } from '../../rules/nftables/syntax.ts';
import { drawSize } from './draw.ts';
import { claimNames, drawName, setNames } from './names.ts';

/**
 * All that one Service port puts into the table of a family, in groups that are shared with or contested by other
 * ports: a group a frontend, its cluster IP, and those of its endpoints that run on this node.
 * @throws SignalboxError `TOO_MANY_ENDPOINTS`
 */
export function compileServicePort(port: ServicePort, family: IpFamily): Elements {
  const groups: ElementGroup[] = [];
  // The endpoints of one frontend are often those of the next, and may be thousands; all else are a few.
  const local = new Set<Ip>();
  const add = (group: ElementGroup) => {
    if (!groups.some(({ claim }) => claim === group.claim)) groups.push(group);
  };
  for (const frontend of port.frontends) {
    if (familyOf(frontend.ip) !== family) continue;
    add(frontendGroup(port, frontend));
    if (frontend.kind === 'cluster-ip') {
      const element = { set: setNames.clusterIps, key: [frontend.ip] };
      add({ claim: claimNames.clusterIp(frontend.ip), elements: [element] });
    }
    for (const { ip, local: isLocal } of frontend.endpoints) {
      if (!isLocal || local.has(ip)) continue;
      local.add(ip);
      groups.push({ claim: claimNames.hairpin(ip), elements: [{ set: setNames.hairpin, key: [ip, ip] }] });
    }
  }
  return groups;
}

function frontendGroup(port: ServicePort, frontend: Frontend): ElementGroup {
  const protocol = protocolWord[port.protocol];
  const key: readonly Value[] = [frontend.ip, protocol, frontend.port];
  return {
    claim: claimNames.frontend(frontend.ip, protocol, frontend.port),
    elements: frontend.endpoints.length === 0 ? [emptyElement(port, frontend, key)] : served(port, frontend, key),
  };
}

function emptyElement(port: ServicePort, frontend: Frontend, key: readonly Value[]): Element {
  return { set: frontend.whenEmpty === 'reject' ? setNames.reject : setNames.drop, key, comment: port.name };
}

function served(port: ServicePort, frontend: Frontend, key: readonly Value[]): Element[] {
  const { endpoints } = frontend;
  const elements: Element[] = [
    { set: setNames.services, key, comment: port.name },
    { set: drawName(drawSize(endpoints.length, port.name)), key },
  ];
  endpoints.forEach((endpoint, index) => {
    // Not by spreading: this is done for every endpoint of the cluster.
    elements.push({ set: setNames.endpoints, key: key.concat(index), data: [endpoint.ip, endpoint.port] });
  });
  const masquerade = masqueradeSet[frontend.masquerade];
  if (masquerade !== undefined) elements.push({ set: masquerade, key });
  return elements;
}

const protocolWord: { readonly [P in ServicePort['protocol']]: TransportProtocol } = {
  TCP: 'tcp',
  UDP: 'udp',
  SCTP: 'sctp',
};

const masqueradeSet: { readonly [P in Frontend['masquerade']]: string | undefined } = {
  never: undefined,
  'off-cluster': setNames.masqueradeOffCluster,
  always: setNames.masqueradeAlways,
};
