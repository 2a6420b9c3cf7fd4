import { describe, expect, it } from 'vitest';
import type { Destination, ServicePort } from '../model/types.ts';
import { parseIp } from '../net/ip.ts';
import type { ProxyMode } from './proxy-mode.ts';
import { StaleFlows } from './stale-flows.ts';

interface Rest {
  readonly protocol?: 'TCP' | 'UDP';
  readonly ip?: string;
  readonly inside?: readonly string[];
  /** Those that serve; if not given, those that take new flows. */
  readonly serving?: readonly string[];
}

function port(name: string, endpoints: readonly string[], rest: Rest = {}): ServicePort {
  const { protocol = 'UDP', ip = '10.96.0.10', inside, serving = [...endpoints, ...(inside ?? [])] } = rest;
  const toEndpoints = (ips: readonly string[]) =>
    ips.map((endpoint) => ({ ip: parseIp(endpoint), port: 5353, local: false }));
  const destination = (ips: readonly string[]): Destination => ({
    endpoints: toEndpoints(ips),
    whenEmpty: 'reject',
    masquerade: 'never',
  });
  return {
    name,
    protocol,
    ...(protocol === 'UDP' ? { serving: toEndpoints([...new Set(serving)]) } : {}),
    frontends: [
      {
        kind: 'cluster-ip',
        ip: parseIp(ip),
        port: 53,
        ...destination(endpoints),
        ...(inside === undefined ? {} : { inside: destination(inside) }),
      },
    ],
  };
}

type Steps = readonly (readonly [previous: ServicePort | undefined, current: ServicePort | undefined])[][];

/** What is to be looked over after these steps, as `frontend → endpoints that may stay`. */
function review(...steps: Steps) {
  return reviewIn('nftables', ...steps);
}

function reviewIn(mode: ProxyMode, ...steps: Steps) {
  const flows = new StaleFlows(mode);
  const servicePorts = new Map<string, ServicePort>();
  for (const changes of steps) {
    for (const [previous, current] of changes) {
      if (current !== undefined) servicePorts.set(current.name, current);
      else if (previous !== undefined) servicePorts.delete(previous.name);
    }
    flows.note(changes.map(([previous, current]) => ({ name: (previous ?? current)?.name ?? '', previous, current })));
  }
  return flows.review(servicePorts).map(({ ip, endpoints }) => `${ip} → ${endpoints.map((endpoint) => endpoint.ip)}`);
}

const dns = 'kube-system/dns';

describe('StaleFlows', () => {
  it('looks a frontend over when it loses an endpoint, and lets the others stay', () => {
    expect(review([[port(dns, ['10.0.0.1', '10.0.0.2']), port(dns, ['10.0.0.2'])]])).toEqual(['10.96.0.10 → 10.0.0.2']);
  });

  it('lets flows go on where an endpoint takes no new ones and serves, until it does no more', () => {
    const both = { serving: ['10.0.0.1', '10.0.0.2'] };
    const draining = port(dns, ['10.0.0.2'], both);
    expect(review([[port(dns, ['10.0.0.1', '10.0.0.2']), draining]])).toEqual([]);
    expect(review([[draining, port(dns, ['10.0.0.2'])]])).toEqual(['10.96.0.10 → 10.0.0.2']);
    expect(review([[port(dns, ['10.0.0.1']), port(dns, [], both)]])).toEqual([]);
    expect(review([[port(dns, [], both), draining]])).toEqual(['10.96.0.10 → 10.0.0.1,10.0.0.2']);
  });

  it('lets them go on in ipvs mode only where new ones go', () => {
    const draining = port(dns, ['10.0.0.2'], { serving: ['10.0.0.1', '10.0.0.2'] });
    expect(reviewIn('ipvs', [[port(dns, ['10.0.0.1', '10.0.0.2']), draining]])).toEqual(['10.96.0.10 → 10.0.0.2']);
    expect(reviewIn('ipvs', [[draining, port(dns, ['10.0.0.2'])]])).toEqual([]);
  });

  it('looks at the endpoints of the frontend’s family', () => {
    const serving = ['10.0.0.1', 'fd00::1'];
    expect(review([[port(dns, ['10.0.0.1'], { serving }), port(dns, ['10.0.0.1'])]])).toEqual([]);
  });

  it('looks it over when it goes', () => {
    expect(review([[port(dns, ['10.0.0.1']), undefined]])).toEqual(['10.96.0.10 → ']);
    expect(review([[port(dns, ['10.0.0.1']), port(dns, ['10.0.0.1'], { ip: '10.96.0.11' })]])).toEqual([
      '10.96.0.10 → ',
      '10.96.0.11 → 10.0.0.1',
    ]);
  });

  it('looks it over when it gets its first endpoint, as flows may lead nowhere', () => {
    expect(review([[port(dns, []), port(dns, ['10.0.0.1'])]])).toEqual(['10.96.0.10 → 10.0.0.1']);
    expect(review([[undefined, port(dns, ['10.0.0.1'])]])).toEqual(['10.96.0.10 → 10.0.0.1']);
  });

  it('has nothing to do for one endpoint more, for TCP, and for what never had an endpoint', () => {
    expect(review([[port(dns, ['10.0.0.1']), port(dns, ['10.0.0.1', '10.0.0.2'])]])).toEqual([]);
    const tcp = { protocol: 'TCP' } as const;
    expect(review([[port(dns, ['10.0.0.1'], tcp), undefined]])).toEqual([]);
    expect(review([[port(dns, []), undefined]])).toEqual([]);
  });

  it('treats a port that turns from UDP into TCP as gone', () => {
    expect(review([[port(dns, ['10.0.0.1']), port(dns, ['10.0.0.1'], { protocol: 'TCP' })]])).toHaveLength(1);
  });

  it('lets flows to the endpoints of the new owner stay when a frontend is handed over', () => {
    const lost = [port('a/old', ['10.0.0.1']), undefined] as const;
    const gained = [undefined, port('b/new', ['10.0.0.2'])] as const;
    expect(review([lost, gained])).toEqual(['10.96.0.10 → 10.0.0.2']);
    expect(review([gained, lost])).toEqual(['10.96.0.10 → 10.0.0.2']);
  });

  it('lets flows of clients inside stay where those are led elsewhere, and looks theirs over alike', () => {
    const all = port(dns, ['10.0.0.1'], { inside: ['10.0.0.1', '10.0.0.2'] });
    expect(review([[port(dns, ['10.0.0.1', '10.0.0.3'], { inside: ['10.0.0.2'] }), all]])).toEqual([
      '10.96.0.10 → 10.0.0.1,10.0.0.2',
    ]);
    expect(review([[port(dns, [], { inside: [] }), port(dns, [], { inside: ['10.0.0.2'] })]])).toHaveLength(1);
    expect(review([[all, port(dns, ['10.0.0.1'], { inside: ['10.0.0.1'] })]])).toHaveLength(1);
  });

  it('judges by the endpoints there are when it comes to it', () => {
    const steps = [['10.0.0.1', '10.0.0.2'], ['10.0.0.2'], ['10.0.0.2', '10.0.0.3']].map((ips) => port(dns, ips));
    expect(review([[steps[0], steps[1]]], [[steps[1], steps[2]]])).toEqual(['10.96.0.10 → 10.0.0.2,10.0.0.3']);
  });

  it('forgets what has been looked over', () => {
    const flows = new StaleFlows('nftables');
    flows.note([{ name: dns, previous: port(dns, ['10.0.0.1']), current: undefined }]);
    flows.clear();
    expect(flows.review(new Map())).toEqual([]);
  });
});
