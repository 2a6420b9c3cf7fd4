import type { Service } from '../api/generated/types.ts';
import { urlHost } from '../net/ip.ts';

/**
 * The environment variables by which a Pod of `namespace` finds Services, in the order they are to be defined:
 * `{SVC}_SERVICE_HOST`, `{SVC}_SERVICE_PORT`, `{SVC}_SERVICE_PORT_{NAME}`, and the `{SVC}_PORT…` variables that
 * container links once had. For all Services of the namespace that have a cluster IP, and for `kubernetes` of
 * `default`, which a Service of that name in the Pod's own namespace overrides. Without `serviceLinks` only the latter.
 *
 * Source: Kubernetes documentation "Services, discovering by environment variables"; Pod field `enableServiceLinks`.
 */
export function serviceEnvironment(
  services: Iterable<Service>,
  pod: { readonly namespace: string; readonly serviceLinks: boolean },
): Record<string, string> {
  const chosen = new Map<string, Service>();
  for (const service of services) {
    const { name = '', namespace = 'default' } = service.metadata ?? {};
    if (!hasClusterIp(service)) continue;
    const isApiServer = namespace === 'default' && name === 'kubernetes';
    if (namespace === pod.namespace && pod.serviceLinks) chosen.set(name, service);
    else if (isApiServer && !chosen.has(name)) chosen.set(name, service);
  }
  const variables: Record<string, string> = {};
  // By name: two names can give the same variable (`a-b` and `a.b`), and then it must not depend on who came first.
  for (const name of [...chosen.keys()].sort()) Object.assign(variables, variablesOf(name, chosen.get(name)));
  return variables;
}

function hasClusterIp(service: Service): boolean {
  const ip = service.spec?.clusterIP;
  return ip !== undefined && ip !== '' && ip !== 'None' && service.spec?.type !== 'ExternalName';
}

function variablesOf(name: string, service: Service | undefined): Record<string, string> {
  const host = service?.spec?.clusterIP ?? '';
  const ports = service?.spec?.ports ?? [];
  const prefix = variableName(name);
  const [first] = ports;
  const variables: Record<string, string> = { [`${prefix}_SERVICE_HOST`]: host };
  if (first === undefined) return variables;
  variables[`${prefix}_SERVICE_PORT`] = `${first.port}`;
  for (const { name: portName = '', port } of ports) {
    if (portName !== '') variables[`${prefix}_SERVICE_PORT_${variableName(portName)}`] = `${port}`;
  }
  variables[`${prefix}_PORT`] = url(host, first.port, first.protocol);
  for (const { port, protocol = 'TCP' } of ports) {
    const link = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`;
    variables[link] = url(host, port, protocol);
    variables[`${link}_PROTO`] = protocol.toLowerCase();
    variables[`${link}_PORT`] = `${port}`;
    variables[`${link}_ADDR`] = host;
  }
  return variables;
}

function url(host: string, port: number, protocol = 'TCP'): string {
  return `${protocol.toLowerCase()}://${urlHost(host)}:${port}`;
}

function variableName(name: string): string {
  return name.toUpperCase().replaceAll('-', '_');
}
