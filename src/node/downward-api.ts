import type { Container, Pod, ResourceFieldSelector } from '../api/generated/types.ts';
import { parseQuantity } from '../api/quantity.ts';
import { SignalboxError } from '../errors/error.ts';
import type { Ip } from '../net/ip.ts';

/** What a Pod can be told about itself, beside what its object says. */
export interface PodFacts {
  readonly pod: Pod;
  readonly podIps: readonly Ip[];
  readonly hostIps: readonly Ip[];
  /** What a container without limits may use: the node's. */
  readonly allocatable: Readonly<Record<string, string>>;
}

/**
 * The text of a Pod's field, as `fieldRef` in variables and files names it.
 * @throws SignalboxError `POD_INVALID` for a field that cannot be referred to
 */
export function fieldValue(path: string, { pod, podIps, hostIps }: PodFacts): string {
  const { metadata = {}, spec } = pod;
  const [, map, key = ''] = /^metadata\.(labels|annotations)\['([^']+)'\]$/.exec(path) ?? [];
  if (map === 'labels' || map === 'annotations') return metadata[map]?.[key] ?? '';
  switch (path) {
    case 'metadata.name':
      return metadata.name ?? '';
    case 'metadata.namespace':
      return metadata.namespace ?? '';
    case 'metadata.uid':
      return metadata.uid ?? '';
    case 'metadata.labels':
      return formatMap(metadata.labels);
    case 'metadata.annotations':
      return formatMap(metadata.annotations);
    case 'spec.nodeName':
      return spec?.nodeName ?? '';
    case 'spec.serviceAccountName':
      return spec?.serviceAccountName ?? '';
    case 'status.hostIP':
      return hostIps[0] ?? '';
    case 'status.hostIPs':
      return hostIps.join(',');
    case 'status.podIP':
      return podIps[0] ?? '';
    case 'status.podIPs':
      return podIps.join(',');
    default:
      throw invalidReference(path, 'is not a field that can be referred to');
  }
}

/**
 * A container's limit or request as a whole number of `divisor`, rounded up. Without a limit it is what the node has;
 * without a request it is the limit.
 * @throws SignalboxError `POD_INVALID`
 */
export function resourceValue(ref: ResourceFieldSelector, facts: PodFacts, own: Container | undefined): string {
  const container = ref.containerName === undefined ? own : findContainer(facts.pod, ref.containerName);
  const [, kind, resource = ''] = /^(limits|requests)\.(.+)$/.exec(ref.resource) ?? [];
  if (kind === undefined) throw invalidReference(ref.resource, 'is neither limits.NAME nor requests.NAME');
  const { limits = {}, requests = {} } = container?.resources ?? {};
  const quantity =
    (kind === 'requests' ? requests[resource] : undefined) ?? limits[resource] ?? facts.allocatable[resource];
  const value = parseQuantity(quantity ?? '0');
  // An empty divisor is 1, and so is `0`, which is how an absent one is stored.
  const divisor = parseQuantity(ref.divisor ?? '1') || 1;
  if (value === undefined) throw invalidReference(ref.resource, `is ${quantity}, which is not a quantity`);
  return `${Math.ceil(value / divisor)}`;
}

function findContainer(pod: Pod, name: string): Container {
  const { containers = [], initContainers = [] } = pod.spec ?? {};
  const found = [...containers, ...initContainers].find((c) => c.name === name);
  if (found === undefined) throw invalidReference(`container ${name}`, 'is not in the Pod');
  return found;
}

/** `key="value"` lines by key; the value as a Go string literal, which JSON's agrees with for what labels can hold. */
function formatMap(map: Readonly<Record<string, string>> = {}): string {
  const keys = Object.keys(map).sort();
  return keys.map((key) => `${key}=${JSON.stringify(map[key])}`).join('\n');
}

function invalidReference(object: string, problem: string): SignalboxError {
  return new SignalboxError('POD_INVALID', { object, problem, remedy: 'correct the reference in the Pod' });
}
