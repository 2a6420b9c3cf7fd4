import type { NodeModel } from '../../model/types.ts';
import { familyOf, type Ip, type IpFamily } from '../../net/ip.ts';
import { type Resource, resourceKey } from '../../rules/ipvs/resources.ts';
import { addressFamily } from '../../rules/ipvs/syntax.ts';
import type { IpvsProgram } from '../../rules/ipvs/walk.ts';
import { compileRules } from './compile.ts';
import { setNameIn } from './names.ts';
import { compileHealthCheck, compileServicePort, type InsideKey } from './service.ts';

/** What of the configuration a program depends on. */
export interface ProgramSettings {
  readonly scheduler: string;
  readonly masqueradeBit: number;
}

/** All that a whole model comes to in one family, on a node that has no addresses but those that the model knows. */
export function compileProgram(
  { node, servicePorts, healthChecks }: NodeModel,
  family: IpFamily,
  { scheduler, masqueradeBit }: ProgramSettings = { scheduler: 'rr', masqueradeBit: 14 },
): IpvsProgram {
  const withheld = new Set([...node.addresses, ...node.nodePortAddresses, ...(node.peerAddresses ?? [])]);
  const numbers = new Map<string, number>();
  const insideNumber = ({ protocol, ip, port }: InsideKey): number => {
    const key = `${protocol} ${ip} ${port}`;
    const number = numbers.get(key) ?? numbers.size;
    numbers.set(key, number);
    return number;
  };
  const resources = new Map<string, Resource>();
  for (const port of servicePorts.values()) {
    for (const resource of compileServicePort(port, { scheduler, insideNumber })) {
      if (resourceFamily(resource) === family && !isWithheld(resource, withheld))
        resources.set(resourceKey(resource), resource);
    }
  }
  for (const check of healthChecks.values()) {
    const resource = compileHealthCheck(check, family);
    resources.set(resourceKey(resource), resource);
  }
  return { rules: compileRules({ family, node, masqueradeBit }), resources: [...resources.values()] };
}

function resourceFamily(resource: Resource): IpFamily {
  switch (resource.kind) {
    case 'virtual-server':
      return addressFamily(resource.server.address);
    case 'entry':
      return resource.set.family;
    case 'address':
      return familyOf(resource.ip);
  }
}

/**
 * Whether a resource is to stay out of the kernel: an address of this node's own, or of another's, is not put on the
 * dummy device, nor among the addresses at which nothing but Services is to be met. This node would not be reached by
 * it any more, nor that one from here.
 */
export function isWithheld(resource: Resource, nodes: ReadonlySet<Ip>): boolean {
  if (resource.kind === 'address') return nodes.has(resource.ip);
  if (resource.kind !== 'entry') return false;
  const { ip } = resource.entry;
  return ip !== undefined && nodes.has(ip) && resource.set.name === setNameIn('KUBE-IPVS-IPS', familyOf(ip));
}
