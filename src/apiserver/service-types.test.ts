import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Service, ServiceSpec, Status } from '../api/generated/types.ts';
import { startTestServer, type TestServer } from './test-server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({
    serviceCidrs: ['10.96.0.0/16', 'fd00:10:96::/112'],
    authenticate: () => ({ name: 'admin', groups: ['system:masters'] }),
  });
});
afterAll(() => server.close());

const kind = { apiVersion: 'v1', kind: 'Service' };
const path = '/api/v1/namespaces/default/services';
type Answer = Service & Status;
async function send(method: 'POST' | 'PUT' | 'PATCH' | 'DELETE', url: string, body?: object): Promise<Answer> {
  const answer = await server.inject({
    method,
    url,
    ...(body && { payload: JSON.stringify(body) }),
    headers: body ? { 'content-type': method === 'PATCH' ? 'application/merge-patch+json' : 'application/json' } : {},
  });
  return JSON.parse(answer.body);
}
const create = (name: string, spec: ServiceSpec, query = '') =>
  send('POST', path + query, {
    ...kind,
    metadata: { name },
    spec: { ports: [{ port: 80 }], selector: { a: 'b' }, ...spec },
  });
const patch = (name: string, spec: object) => send('PATCH', `${path}/${name}`, { spec });
const causes = ({ details }: Answer) => (details?.causes ?? []).map(({ field, message }) => `${field}: ${message}`);
let count = 0;
const fresh = () => `s-${count++}`;

const types: { readonly [type: string]: ServiceSpec } = {
  ClusterIP: { type: 'ClusterIP' },
  NodePort: { type: 'NodePort' },
  LoadBalancer: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', loadBalancerClass: 'a/b' },
  ExternalName: { type: 'ExternalName', externalName: 'example.com' },
};
const has = { address: ['ClusterIP', 'NodePort', 'LoadBalancer'], nodePort: ['NodePort', 'LoadBalancer'] };

describe('Service', () => {
  const changes = Object.keys(types).flatMap((from) => Object.keys(types).map((to) => [from, to] as const));
  test.each(changes.filter(([from, to]) => from !== to))(
    '%s that becomes %s keeps and gives back what it should',
    async (from, to) => {
      const name = fresh();
      const { spec: before = {} } = await create(name, types[from] ?? {});
      const changed = await patch(name, types[to] ?? {});
      const { spec: after = {} } = changed;
      expect(causes(changed)).toEqual([]);
      const keeps = (what: string[]) => what.includes(from) && what.includes(to);
      expect(after.type).toBe(to);
      if (keeps(has.address)) expect(after.clusterIPs).toEqual(before.clusterIPs);
      expect(after.clusterIPs !== undefined).toBe(has.address.includes(to));
      expect(after.ipFamilyPolicy !== undefined).toBe(has.address.includes(to));
      const [was, is] = [before, after].map(({ ports }) => ports?.[0]?.nodePort);
      if (keeps(has.nodePort)) expect(is).toBe(was);
      expect(is !== undefined).toBe(has.nodePort.includes(to));
      for (const field of ['healthCheckNodePort', 'loadBalancerClass', 'allocateLoadBalancerNodePorts'] as const)
        expect(after[field] !== undefined, field).toBe(to === 'LoadBalancer');
      expect(after.externalTrafficPolicy !== undefined).toBe(has.nodePort.includes(to));
      expect(changed.status).toEqual({ loadBalancer: {} });
      // What it gave back, another Service can have.
      const heir: ServiceSpec = {};
      if (before.clusterIP && !after.clusterIP) Object.assign(heir, { clusterIP: before.clusterIP });
      const freed = [was, before.healthCheckNodePort].filter(
        (port) => port && ![is, after.healthCheckNodePort].includes(port),
      );
      const ports = freed.map((nodePort, i) => ({ name: `p${i}`, port: i + 1, nodePort }));
      if (ports.length > 0) Object.assign(heir, { type: 'NodePort', ports });
      expect(causes(await create(fresh(), heir))).toEqual([]);
    },
  );

  test('that becomes another type is refused what that type has not, if it is asked for', async () => {
    const name = fresh();
    await create(name, types.NodePort ?? {});
    // Of the static band: none that another Service here was given by chance.
    const port = { port: 80, nodePort: 30_002 };
    expect(causes(await patch(name, { type: 'ClusterIP', ports: [port] }))).toEqual([
      "spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'",
    ]);
    expect(causes(await patch(name, { ...types.ExternalName, clusterIPs: ['10.96.0.9'] }))).toContain(
      'spec.clusterIPs: Forbidden: may not be set for ExternalName services',
    );
  });

  test('of a balancer loses the balancer’s address with its type', async () => {
    const name = fresh();
    await create(name, { type: 'LoadBalancer' });
    const status = { loadBalancer: { ingress: [{ ip: '192.0.2.1' }] } };
    await send('PATCH', `${path}/${name}/status`, { status });
    expect((await patch(name, { type: 'NodePort' })).status).toEqual({ loadBalancer: {} });
  });

  test('applied again without what was allocated keeps it; node ports go with the names of their ports', async () => {
    const name = fresh();
    const ports = [
      { name: 'a', port: 80 },
      { name: 'b', port: 81 },
    ];
    const { spec: first = {} } = await create(name, { type: 'NodePort', ports });
    const manifest = {
      ...kind,
      metadata: { name },
      spec: {
        type: 'NodePort',
        ports: [
          { name: 'b', port: 8081 },
          { name: 'c', port: 80 },
        ],
      },
    };
    const { spec: second = {} } = await send('PUT', `${path}/${name}`, manifest);
    expect(second.clusterIPs).toEqual(first.clusterIPs);
    expect(second.ports?.[0]?.nodePort).toBe(first.ports?.[1]?.nodePort);
    expect(second.ports?.[1]?.nodePort).not.toBe(first.ports?.[0]?.nodePort);
  });

  test('without node ports for its balancer gets none, but those asked for', async () => {
    const ports = [
      { name: 'a', port: 80 },
      { name: 'b', port: 81, nodePort: 30_001 },
    ];
    const { spec } = await create(fresh(), { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false, ports });
    expect(spec?.ports?.map(({ nodePort }) => nodePort)).toEqual([undefined, 30_001]);
  });

  test('has no port for its health checks that is a node port of its own', async () => {
    const local = { type: 'LoadBalancer', externalTrafficPolicy: 'Local' } as const;
    const ports = (nodePort: number) => [{ port: 80, nodePort }];
    const taken = 'Invalid value: 30040: provided port is already allocated';
    const refused = await create(fresh(), { ...local, healthCheckNodePort: 30_040, ports: ports(30_040) });
    expect(causes(refused)).toEqual([`spec.healthCheckNodePort: ${taken}`]);
    const name = fresh();
    await create(name, { ...local, healthCheckNodePort: 30_040, ports: ports(30_041) });
    expect(causes(await patch(name, { ports: ports(30_040) }))).toEqual([`spec.ports[0].nodePort: ${taken}`]);
    expect((await patch(name, { ports: ports(30_042) })).spec).toMatchObject({ healthCheckNodePort: 30_040 });
  });

  test('tried with dryRun has an address, which it gives back', async () => {
    const asked = { clusterIP: '10.96.0.77', type: 'NodePort', ports: [{ port: 80, nodePort: 30_077 }] };
    for (let i = 0; i < 2; i++)
      expect((await create(fresh(), asked, '?dryRun=All')).spec?.clusterIP).toBe('10.96.0.77');
    expect((await create(fresh(), asked)).spec?.clusterIP).toBe('10.96.0.77');
  });
});

describe('chooseFamilies', () => {
  const single = { ipFamilyPolicy: 'SingleStack' };
  const prefer = { ipFamilyPolicy: 'PreferDualStack' };
  const require = { ipFamilyPolicy: 'RequireDualStack' };
  const headless = { clusterIP: 'None' };
  test.each<[ServiceSpec, string, ...string[]]>([
    [{}, 'SingleStack', 'IPv4'],
    [{ ipFamilies: ['IPv6'] }, 'SingleStack', 'IPv6'],
    [prefer, 'PreferDualStack', 'IPv4', 'IPv6'],
    [{ ...prefer, ipFamilies: ['IPv6'] }, 'PreferDualStack', 'IPv6', 'IPv4'],
    [{ ...require, ipFamilies: ['IPv6', 'IPv4'] }, 'RequireDualStack', 'IPv6', 'IPv4'],
    [{ clusterIP: 'fd00:10:96::5' }, 'SingleStack', 'IPv6'],
    [{ ...require, clusterIP: 'fd00:10:96::6' }, 'RequireDualStack', 'IPv6', 'IPv4'],
    [headless, 'SingleStack', 'IPv4'],
    [{ ...headless, selector: {} }, 'RequireDualStack', 'IPv4', 'IPv6'],
    [{ ...headless, ...single, selector: {} }, 'SingleStack', 'IPv4'],
    [{ ...headless, selector: {}, ipFamilies: ['IPv6'] }, 'RequireDualStack', 'IPv6', 'IPv4'],
  ])('makes of %j', async (given, policy, ...families) => {
    const { spec, message } = await create(fresh(), given);
    expect([spec?.ipFamilyPolicy, spec?.ipFamilies], message).toEqual([policy, families]);
    if (spec?.clusterIP !== 'None') expect(spec?.clusterIPs).toHaveLength(families.length);
    const pattern = families[0] === 'IPv4' ? /^10\.96\./ : /^fd00:10:96::/;
    if (spec?.clusterIP !== 'None') expect(spec?.clusterIP).toMatch(pattern);
  });

  const mustBe = "must be 'RequireDualStack' or 'PreferDualStack' when multiple";
  test.each<[ServiceSpec, ...string[]]>([
    [
      { ipFamilies: ['IPv4', 'IPv6'] },
      `spec.ipFamilyPolicy: Invalid value: "SingleStack": ${mustBe} IP families are specified`,
    ],
    [
      { clusterIP: '10.96.0.60', clusterIPs: ['10.96.0.60', 'fd00:10:96::60'] },
      `spec.ipFamilyPolicy: Invalid value: "SingleStack": ${mustBe} cluster IPs are specified`,
    ],
    [
      { clusterIPs: ['10.96.0.60'] },
      'spec.clusterIPs: Invalid value: ["10.96.0.60"]: must be empty when `clusterIP` is not specified',
    ],
    [
      { clusterIP: '10.96.0.60', ipFamilies: ['IPv6'] },
      'spec.clusterIPs[0]: Invalid value: "10.96.0.60": expected an IPv6 value as indicated by `ipFamilies[0]`',
    ],
    [
      { clusterIP: '10.95.0.1' },
      'spec.clusterIPs: Invalid value: ["10.95.0.1"]: failed to allocate IP 10.95.0.1: the provided IP (10.95.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16',
    ],
  ])('refuses %j', async (given, ...problems) => {
    expect(causes(await create(fresh(), given))).toEqual(problems);
  });

  test('adds and takes away the second family as the policy says, and never without its word', async () => {
    const name = fresh();
    const { spec: one = {} } = await create(name, {});
    const { spec: two = {} } = await patch(name, prefer);
    expect(two.clusterIPs).toEqual([one.clusterIP, expect.stringMatching(/^fd00:10:96::/)]);
    expect(causes(await patch(name, { ipFamilies: ['IPv4'], clusterIPs: [one.clusterIP] }))).toEqual([
      'spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be \'SingleStack\' to release the secondary cluster IP',
      'spec.ipFamilyPolicy: Invalid value: "PreferDualStack": must be \'SingleStack\' to release the secondary IP family',
    ]);
    expect((await patch(name, require)).spec?.clusterIPs).toEqual(two.clusterIPs);
    const { spec: down = {} } = await patch(name, single);
    expect([down.clusterIPs, down.ipFamilies]).toEqual([[one.clusterIP], ['IPv4']]);
    expect(causes(await patch(name, { ipFamilies: ['IPv6'] }))).toContain(
      'spec.clusterIPs[0]: Invalid value: "' +
        one.clusterIP +
        '": expected an IPv6 value as indicated by `ipFamilies[0]`',
    );
    // The same address comes back when it is asked for.
    const again = await patch(name, { ...require, ipFamilies: ['IPv4', 'IPv6'], clusterIPs: two.clusterIPs });
    expect(again.spec?.clusterIPs).toEqual(two.clusterIPs);
  });

  test('keeps the spelling that an address was given in', async () => {
    const name = fresh();
    const spelled = 'FD00:10:96::00AB';
    const { spec } = await create(name, { clusterIP: spelled });
    expect(spec?.clusterIPs).toEqual([spelled]);
    expect(causes(await create(fresh(), { clusterIP: 'fd00:10:96::ab' }))).toEqual([
      expect.stringContaining('provided IP is already allocated'),
    ]);
    expect((await patch(name, { selector: { c: 'd' } })).spec?.clusterIPs).toEqual([spelled]);
    await send('DELETE', `${path}/${name}`);
    expect((await create(fresh(), { clusterIP: 'fd00:10:96::ab' })).spec?.clusterIP).toBe('fd00:10:96::ab');
  });
});
