import type { Node, Pod, Service } from '../api/generated/types.ts';
import { objectKey } from '../api/object.ts';
import { connect } from '../client/client.ts';
import { loadKubeconfig } from '../client/kubeconfig.ts';
import type { Announcement } from '../cluster/announcements.ts';
import { askForAnnouncements } from '../cluster/control.ts';
import { hostDevice } from '../cluster/host-route.ts';
import { type ClusterPaths, requireRunning } from '../cluster/state.ts';
import { type PublishedPort, readPublished } from '../publisher/record.ts';
import { announcedAddresses } from '../speaker/announced.ts';
import { publishedLines, worthTelling } from './published.ts';

/** What runs: the cluster, its nodes, and how many Pods and Services it has. */
export async function status(options: { readonly name: string; readonly output: 'text' | 'json' }): Promise<void> {
  const { paths, record } = requireRunning(options.name);
  const client = connect(await loadKubeconfig(paths.kubeconfig));
  try {
    const [nodes, pods, services] = await Promise.all([
      client.list('nodes'),
      client.list('pods'),
      client.list('services'),
    ]);
    const report = {
      name: record.name,
      startedAt: record.startedAt,
      proxyMode: record.proxyMode,
      api: client.config.server,
      kubeconfig: paths.kubeconfig,
      log: paths.log,
      nodes: nodes.items.map(nodeReport),
      pods: podReport(pods.items),
      services: serviceReport(services.items),
      loadBalancers: balancerReports(services.items, await announcements(paths, services.items)),
      ...(record.hostRoute ? { hostDevice: hostDevice(paths) } : {}),
      ...(record.publish ? { published: worthTelling(readPublished(paths.published).ports) } : {}),
    };
    console.log(options.output === 'json' ? JSON.stringify(report, null, 2) : text(report));
  } finally {
    client.close();
  }
}

function nodeReport(node: Node) {
  const internal = node.status?.addresses?.filter(({ type }) => type === 'InternalIP') ?? [];
  const addresses = internal.map(({ address }) => address);
  return {
    name: node.metadata?.name ?? '',
    ip: addresses[0] ?? '',
    ips: addresses,
    podCidr: node.spec?.podCIDR ?? '',
    podCidrs: node.spec?.podCIDRs ?? [],
    ready: node.status?.conditions?.find((c) => c.type === 'Ready')?.status === 'True',
  };
}

/** As wide as an IPv4 address or block wants it, and wider for more. */
function column(texts: readonly string[], width: number): string {
  return `${texts.join(', ')}  `.padEnd(width);
}

function podReport(pods: readonly Pod[]) {
  const ready = pods.filter((pod) => pod.status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True'));
  return { total: pods.length, ready: ready.length, names: pods.map(objectKey) };
}

function serviceReport(services: readonly Service[]) {
  return { total: services.length };
}

/** Nothing where no address is to be announced, and where the cluster does not say. */
async function announcements(paths: ClusterPaths, services: readonly Service[]): Promise<readonly Announcement[]> {
  if (!services.some((service) => announcedAddresses(service).length > 0)) return [];
  return askForAnnouncements(paths).catch(() => []);
}

function balancerReports(services: readonly Service[], announced: readonly Announcement[]) {
  return services.flatMap((service) =>
    announcedAddresses(service).map((address) => ({
      service: objectKey(service),
      address,
      announcedBy: announced.filter((each) => each.address === address).map(({ by }) => by),
    })),
  );
}

type Report = {
  readonly [K in 'name' | 'startedAt' | 'proxyMode' | 'api' | 'kubeconfig' | 'log']: string;
} & {
  readonly nodes: readonly ReturnType<typeof nodeReport>[];
  readonly pods: ReturnType<typeof podReport>;
  readonly services: ReturnType<typeof serviceReport>;
  readonly loadBalancers: ReturnType<typeof balancerReports>;
  /** The device by which this machine routes to the cluster, if it does. */
  readonly hostDevice?: string;
  /** Only of a cluster that publishes. */
  readonly published?: readonly PublishedPort[];
};

function text(report: Report): string {
  const minutes = Math.floor((Date.now() - Date.parse(report.startedAt)) / 60_000);
  const nodes = report.nodes.map(
    (n) => `  ${n.name.padEnd(10)}${column(n.ips, 17)}Pods ${column(n.podCidrs, 18)}${n.ready ? 'Ready' : 'not Ready'}`,
  );
  const widest = Math.max(0, ...report.loadBalancers.map(({ address }) => address.length)) + 2;
  const balancers = report.loadBalancers.map(
    ({ address, service, announcedBy }) =>
      `    ${address.padEnd(widest)}${service}, announced by ${announcedBy.join(', ') || 'nobody'}`,
  );
  return [
    `Cluster ${report.name} has been up for ${minutes} min, proxy mode ${report.proxyMode}.`,
    '',
    ...nodes,
    '',
    `  Pods        ${report.pods.ready} of ${report.pods.total} Ready`,
    `  Services    ${report.services.total}`,
    ...(balancers.length > 0 ? ['  Addresses of load balancers', ...balancers] : []),
    `  API         ${report.api}`,
    `  kubeconfig  ${report.kubeconfig}`,
    `  log         ${report.log}`,
    ...(report.hostDevice === undefined ? [] : [`  routed by   ${report.hostDevice}`]),
    ...(report.published === undefined ? [] : ['', 'On this machine:', ...publishedLines(report.published)]),
  ].join('\n');
}
