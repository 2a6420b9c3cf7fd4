import fc from 'fast-check';
import { podNames } from './places.ts';
import type { Call, EndpointSetting, NodeSetting, Scenario, ServiceSetting, Target } from './scenario.ts';

/** `undefined` is left out, as tables do. */
function some<T extends object>(parts: { readonly [K in keyof T]-?: fc.Arbitrary<T[K] | undefined> }): fc.Arbitrary<T> {
  return fc
    .record(parts as unknown as { [K in keyof T]: fc.Arbitrary<T[K]> })
    .map((made) => Object.fromEntries(Object.entries(made).filter(([, value]) => value !== undefined)) as T);
}

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const yes = fc.constant(true as const);
const local = fc.constant('Local' as const);
const nodeNames = fc.subarray(['node-1', 'node-2', 'node-3'], { minLength: 1 });
const zones = fc.subarray(['a', 'b'], { minLength: 1 });

const endpoint: fc.Arbitrary<EndpointSetting> = some<EndpointSetting>({
  on: fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...podNames) }, fc.constant('node' as const)),
  port: fc.constant(undefined),
  conditions: fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    some({ ready: maybe(fc.boolean()), serving: maybe(fc.boolean()), terminating: maybe(fc.boolean()) }),
  ),
  forNodes: maybe(nodeNames),
  forZones: maybe(zones),
});

const service: fc.Arbitrary<ServiceSetting> = some<ServiceSetting>({
  families: maybe(fc.constantFrom(['IPv4'] as const, ['IPv6'] as const)),
  protocol: fc.constantFrom('TCP', 'TCP', 'UDP', 'SCTP'),
  port: maybe(fc.constant(81)),
  nodePort: maybe(fc.constantFrom(30_080, 30_081)),
  external: maybe(yes),
  balancer: maybe(fc.constantFrom('VIP' as const, 'VIP' as const, 'Proxy' as const)),
  sources: fc.oneof(
    { weight: 2, arbitrary: fc.constant(undefined) },
    fc.uniqueArray(fc.constantFrom('pods' as const, 'node' as const, 'client' as const, 'nobody' as const), {
      minLength: 1,
      maxLength: 3,
    }),
  ),
  // Walks that are remembered take long.
  affinity: fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, fc.constantFrom(10, 10_800)),
  internal: maybe(local),
  outside: maybe(local),
  labels: fc.constant(undefined),
  endpoints: fc.array(endpoint, { maxLength: 5 }),
});

const node: fc.Arbitrary<NodeSetting> = some<NodeSetting>({
  zone: maybe(fc.constantFrom('a', 'b', 'c')),
  pods: maybe(fc.constantFrom('node' as const, 'bridge' as const, 'prefix' as const, 'unknown' as const)),
  masqueradeAll: maybe(yes),
  hasBalancerAddress: maybe(yes),
  nodePorts: maybe(fc.constant('all' as const)),
});

const targets: readonly Target[] = ['cluster-ip', 'node-port', 'other-node-port', 'external-ip', 'balancer'];

/** Every kind of call there is at the Services. */
export function everyCall({ services }: Pick<Scenario, 'services'>): Omit<Call, 'expect'>[] {
  return services.flatMap((setting, index) =>
    targets
      .filter((to) => isThere(setting, to))
      .flatMap((to) => [...podNames, 'node' as const, 'client' as const].map((from) => ({ from, to, service: index }))),
  );
}

function isThere({ nodePort, external, balancer }: ServiceSetting, to: Target): boolean {
  if (to === 'external-ip') return external === true;
  if (to === 'balancer') return balancer !== undefined;
  return to === 'cluster-ip' || nodePort !== undefined;
}

/** A node and up to three Services, some of which may claim the same addresses; without calls. */
export const randomScenario: fc.Arbitrary<Scenario> = fc
  .record({ node, services: fc.array(service, { minLength: 1, maxLength: 3 }) })
  .map(({ node, services }) => ({ name: 'random', node, services, calls: [] }));
