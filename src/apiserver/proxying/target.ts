import { FieldErrors } from '../../api/field-error.ts';
import type { EndpointSlice, Node, Pod, Service } from '../../api/generated/types.ts';
import { resources } from '../../api/resources.ts';
import { validateReachableIp } from '../../api/validation/reachable-ip.ts';
import { serviceKeyOf } from '../../api/well-known.ts';
import { tryParsePort } from '../../net/port.ts';
import type { PodPort } from '../node-api/node-client.ts';
import { nodeOf } from '../node-api/pod-streams.ts';
import type { RegistryEnvironment } from '../registry.ts';
import { badRequest, StatusError } from '../status.ts';
import type { WatchCache } from '../watch-cache.ts';

/** Where a proxied request goes. */
export interface ProxyTarget extends PodPort {
  readonly isSecure: boolean;
  readonly node: Node;
}

/** What the name in a proxied path says: `NAME`, `NAME:PORT` or `SCHEME:NAME:PORT`. Parts that are not there are empty. */
export interface ProxyName {
  /** All of it. */
  readonly text: string;
  readonly scheme: string;
  readonly name: string;
  readonly port: string;
}

/** Nothing for what cannot be read. */
export function parseProxyName(text: string): ProxyName | undefined {
  const parts = text.split(':');
  if (parts.length > 3) return undefined;
  const [scheme = '', name = '', port = ''] = parts.length === 3 ? parts : ['', ...parts];
  return name !== '' && ['', 'http', 'https'].includes(scheme) ? { text, scheme, name, port } : undefined;
}

/**
 * One of the endpoints of a Service, at random. A port is named by its number or name; without a port, it is the one that
 * has no name. As in Kubernetes only endpoints count that are ready and are Pods of the namespace, at an address of
 * theirs: whoever may write endpoints is not thereby let into other networks by the API server.
 * @throws StatusError 503 when there is none, 404 when the node is gone
 */
export function serviceTarget(
  service: Service,
  asked: ProxyName,
  environment: Pick<RegistryEnvironment, 'cache'>,
): ProxyTarget {
  const { cache } = environment;
  const name = portName(service, asked);
  const slices = slicesOf(service, cache);
  const candidates = slices.flatMap((slice) => {
    const port = slice.ports?.find((one) => (one.name ?? '') === name)?.port;
    return port === undefined ? [] : readyPods(slice, port, cache);
  });
  const chosen = candidates[Math.floor(Math.random() * candidates.length)];
  if (chosen === undefined) {
    const isEmpty = slices.every(({ endpoints }) => (endpoints ?? []).length === 0);
    throw unavailable(`no endpoints available for service "${isEmpty ? asked.name : asked.text}"`);
  }
  const { pod, address, port } = chosen;
  return { ...placeOf(pod, environment), address, port, isSecure: asked.scheme === 'https' };
}

/**
 * A Pod at its first address. Without a port it is the first that a container names, or else the scheme's own.
 * @throws StatusError 400 for a Pod without an address or a node, 404 when the node is gone, 503 for a port that is no number
 */
export function podTarget(
  pod: Pod,
  { scheme, port }: ProxyName,
  environment: Pick<RegistryEnvironment, 'cache'>,
): ProxyTarget {
  const address = pod.status?.podIP ?? '';
  const errors = new FieldErrors();
  validateReachableIp(address, 'status.podIP', errors);
  if (errors.list.length > 0) throw badRequest('address not allowed');
  const isSecure = scheme === 'https';
  const named = pod.spec?.containers?.flatMap(({ ports = [] }) => ports)[0]?.containerPort;
  const number = port === '' ? (named ?? (isSecure ? 443 : 80)) : readPort(port);
  return { ...placeOf(pod, environment), address, port: number, isSecure };
}

function readPort(text: string): number {
  const port = tryParsePort(text);
  if (port !== undefined) return port;
  throw unavailable(`error trying to reach service: ${JSON.stringify(text)} is not the number of a port`);
}

/** The name of the port that is meant; a name may be one that only endpoints have. */
function portName({ spec }: Service, { name, port }: ProxyName): string {
  if (!/^\d+$/.test(port)) return port;
  const found = spec?.ports?.find((one) => one.port === Number(port));
  if (found === undefined) throw unavailable(`no service port ${port} found for service "${name}"`);
  return found.name ?? '';
}

interface PodEndpoint {
  readonly pod: Pod;
  readonly address: string;
  readonly port: number;
}

function slicesOf({ metadata, spec }: Service, cache: WatchCache): EndpointSlice[] {
  const { namespace = '', name = '' } = metadata ?? {};
  // Of a Service with two families the endpoints of the first count, as in the Endpoints object.
  const family = spec?.ipFamilies?.[0];
  return cache
    .of(resources.endpointSlices)
    .list(namespace)
    .map(({ object }) => object as unknown as EndpointSlice)
    .filter((slice) => serviceKeyOf(slice) === `${namespace}/${name}`)
    .filter(({ addressType }) => family === undefined || addressType === family);
}

function readyPods({ metadata, endpoints = [] }: EndpointSlice, port: number, cache: WatchCache): PodEndpoint[] {
  const pods = cache.of(resources.pods);
  return endpoints.flatMap(({ addresses: [address = ''], conditions, targetRef }) => {
    if (conditions?.ready === false || targetRef?.kind !== 'Pod') return [];
    if ((targetRef.namespace ?? metadata?.namespace) !== metadata?.namespace) return [];
    const pod = pods.get(`${metadata?.namespace}/${targetRef.name}`)?.object as Pod | undefined;
    return pod?.status?.podIPs?.some(({ ip }) => ip === address) ? [{ pod, address, port }] : [];
  });
}

function placeOf(pod: Pod, environment: Pick<RegistryEnvironment, 'cache'>) {
  const { namespace = '', name = '' } = pod.metadata ?? {};
  return { namespace, pod: name, node: nodeOf(pod, environment) };
}

function unavailable(message: string): StatusError {
  return new StatusError('ServiceUnavailable', message);
}
