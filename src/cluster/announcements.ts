import { connectLoopback } from '../kernel/netns-connect.ts';
import type { DutyReport } from '../speaker/link-speaker.ts';
import { readPage } from './read-page.ts';

/** Who announces an address on the link. */
export interface Announcement {
  readonly address: string;
  /** Name of the node; of somebody who is none of ours, but has the address, the link-layer address. */
  readonly by: string;
}

/** Of the speaker, in the namespace of its node. */
const metricsPort = 7472;
const timeoutMs = 1_000;

/** Asks the speakers of nodes, by their network namespaces; one that does not answer announces nothing. */
export async function readAnnouncements(netnsPaths: readonly string[]): Promise<Announcement[]> {
  const pages = await Promise.all(netnsPaths.map((netns) => readReport(netns).catch(() => [])));
  return announcementsIn(pages.flat());
}

/** What speakers say together: each that announces an address, and of other addresses who is said to be in the way. */
export function announcementsIn(reports: readonly DutyReport[]): Announcement[] {
  const by = new Map<string, Set<string>>();
  const take = (state: DutyReport['state'], isMissing: (address: string) => boolean) => {
    const told = reports.filter((report) => report.state === state && isMissing(report.address));
    for (const { address, announcedBy } of told)
      if (announcedBy !== undefined) by.set(address, (by.get(address) ?? new Set()).add(announcedBy));
  };
  take('holding', () => true);
  take('refused', (address) => !by.has(address));
  return [...by].flatMap(([address, names]) => [...names].sort().map((name) => ({ address, by: name })));
}

async function readReport(netns: string): Promise<DutyReport[]> {
  const socket = await connectLoopback({ netns, port: metricsPort, timeoutMs });
  return JSON.parse(await readPage(socket, '/announcements', timeoutMs));
}
