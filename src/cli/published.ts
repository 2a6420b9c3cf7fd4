import type { PublishedPort } from '../publisher/record.ts';

/** A question that every cluster's DNS has an answer to. */
const exampleName = 'kubernetes.default.svc.cluster.local';

/** Lines that say what of a cluster is reached on this machine, and how. */
export function publishedLines(ports: readonly PublishedPort[]): string[] {
  const rows = ports.map((port) => ({
    service: port.way === 'dns' ? 'cluster DNS' : `${port.service}${port.portName === '' ? '' : `:${port.portName}`}`,
    where: whereIs(port),
    what: whatIsThere(port),
  }));
  const width = Math.max(0, ...rows.map(({ service }) => service.length)) + 2;
  const whereWidth = Math.max(0, ...rows.map(({ where, what }) => (what === '' ? 0 : where.length))) + 2;
  return rows.map(({ service, where, what }) =>
    `  ${service.padEnd(width)}${where.padEnd(whereWidth)}${what}`.trimEnd(),
  );
}

/** Addresses of a Service's own that cannot be had are no news: it is on 127.0.0.1. */
export function worthTelling(ports: readonly PublishedPort[]): PublishedPort[] {
  return ports.filter(({ way, url }) => way !== 'ownAddress' || url !== undefined);
}

function whereIs({ way, address, url, problem }: PublishedPort): string {
  if (way !== 'dns' || address === undefined) return url ?? `nowhere: ${problem ?? 'not yet'}`;
  const [ip, port] = address.split(':');
  return `dig @${ip} -p ${port} ${exampleName}`;
}

function whatIsThere({ way, port, nodePort, insteadOf }: PublishedPort): string {
  const what = {
    nodePort: `node port ${nodePort}`,
    loadBalancer: `load balancer, port ${port}`,
    ownAddress: `load balancer, port ${port}`,
    dns: '',
  }[way];
  return insteadOf === undefined ? what : `${what} (${insteadOf} is taken)`.trimStart();
}
