import type { Destination, Endpoint, Frontend, HealthCheck, ServicePort } from '../../model/types.ts';
import { formatCidr } from '../../net/cidr.ts';
import { familyOf, type Ip } from '../../net/ip.ts';
import type { OwnedRules } from '../../rules/iptables/store.ts';
import {
  type KnownRule,
  type Match,
  oneIn,
  type Rule,
  type TableName,
  type Target,
  type TransportProtocol,
} from '../../rules/iptables/syntax.ts';
import { comment, hostBlock, offClusterMark, podSources, type RuleContext, type SourceMatch } from './compile.ts';
import { chainNames, type ServiceChain, serviceChainName } from './names.ts';

/** All that one Service port has among the rules of a family; the reader of kube-proxy's rules finds its way. */
export function compileServicePort(port: ServicePort, context: RuleContext): OwnedRules {
  const frontends = port.frontends.filter(({ ip }) => familyOf(ip) === context.family);
  const rules = new ServiceRules(port, frontends, context);
  for (const frontend of frontends) rules.add(frontend);
  return rules.owned();
}

/** Lets balancers ask this node about a Service, whatever comes behind in the chain INPUT. */
export function compileHealthCheck({ namespace, name, port }: HealthCheck): OwnedRules {
  const rule: KnownRule = {
    protocol: { value: 'tcp' },
    matches: [
      comment(`${namespace}/${name} health check node port`),
      { kind: 'ports', protocol: 'tcp', destinationPort: port },
    ],
    target: { kind: 'ACCEPT' },
  };
  return { chains: [], shared: [{ table: 'filter', chain: chainNames.nodePorts, rule }] };
}

type Endpoints = readonly Endpoint[];

/** Collects the rules of one Service port, frontend by frontend. Chains are made when something first leads to them. */
class ServiceRules {
  readonly #port: ServicePort;
  readonly #context: RuleContext;
  readonly #protocol: TransportProtocol;
  readonly #policies: PolicyChains;
  /** In the order in which others may lead to them. */
  readonly #chains: { readonly table: TableName; readonly name: string; readonly rules: Rule[] }[] = [];
  readonly #shared: { readonly table: TableName; readonly chain: string; readonly rule: Rule }[] = [];
  readonly #externals: { readonly frontend: Frontend; readonly chain: string }[] = [];
  readonly #endpoints = new Set<string>();
  readonly #nodePorts = new Set<string>();

  constructor(port: ServicePort, frontends: readonly Frontend[], context: RuleContext) {
    this.#port = port;
    this.#context = context;
    this.#protocol = protocolWord[port.protocol];
    this.#policies = new PolicyChains(port, frontends);
  }

  owned(): OwnedRules {
    return { chains: this.#chains, shared: this.#shared };
  }

  add(frontend: Frontend): void {
    const { inside = frontend } = frontend;
    const somebodyAnswers = frontend.endpoints.length > 0 || inside.endpoints.length > 0;
    const allAnswer = frontend.endpoints.length > 0 && inside.endpoints.length > 0;
    if (frontend.sourceRanges !== undefined) this.#guard(frontend, allAnswer);
    if (somebodyAnswers) this.#serve(frontend);
    if (!allAnswer) this.#refuse(frontend, frontend.endpoints.length === 0 ? frontend : inside);
  }

  /** Leads packets for a frontend into the Service's chains. */
  #serve(frontend: Frontend): void {
    const behind =
      frontend.kind === 'cluster-ip' && frontend.inside === undefined
        ? this.#clusterIp(frontend)
        : this.#external(frontend);
    const chain = frontend.sourceRanges === undefined ? behind : this.#firewall(frontend, behind);
    const { kind, ip, port } = frontend;
    const target: Target = { kind: 'jump', chain };
    if (kind === 'node-port') {
      // The way there is the same for all of the node's addresses.
      if (this.#isNew(`nat ${port}`))
        this.#share('nat', chainNames.nodePorts, { ...this.#toPort(port, [comment(this.#port.name)]), target });
      return;
    }
    const text = `${this.#port.name} ${kindWord[kind]}`;
    this.#share('nat', chainNames.services, { ...this.#toFrontend(ip, port, [comment(text)]), target });
  }

  /** Answers those whose packets nobody takes: what is not translated comes by the tables of filters. */
  #refuse({ kind, ip, port }: Frontend, { whenEmpty }: Destination): void {
    const matches = [comment(`${this.#port.name} has no ${whenEmpty === 'drop' ? 'local ' : ''}endpoints`)];
    const target: Target = whenEmpty === 'drop' ? { kind: 'DROP' } : { kind: 'REJECT', with: this.#refusal() };
    if (kind !== 'node-port' || !this.#context.node.nodePortsEverywhere.includes(this.#context.family)) {
      const chain = kind === 'cluster-ip' ? chainNames.services : chainNames.externalServices;
      this.#share('filter', chain, { ...this.#toFrontend(ip, port, matches), target });
    } else if (this.#isNew(`filter ${port}`)) {
      const local: Match = { kind: 'addrtype', destination: { value: 'LOCAL' } };
      this.#share('filter', chainNames.externalServices, { ...this.#toPort(port, [...matches, local]), target });
    }
  }

  /** The kernel sends few ICMP messages a second to one host, but every reset. */
  #refusal(): Extract<Target, { kind: 'REJECT' }>['with'] {
    if (this.#protocol === 'tcp') return 'tcp-reset';
    return this.#context.family === 'IPv4' ? 'icmp-port-unreachable' : 'icmp6-port-unreachable';
  }

  /** A chain for clients of a cluster IP; the frontend stands in the rule as others come by the same chain. */
  #clusterIp({ ip, port, endpoints, masquerade }: Frontend): string {
    const chain = this.#policy(endpoints);
    const matches = [comment(`${this.#port.name} cluster IP`)];
    const mark = this.#mark(masquerade, (sources) => ({ ...this.#toFrontend(ip, port, matches), ...sources }));
    this.#chains.find(({ name }) => name === chain)?.rules.unshift(...mark);
    return chain;
  }

  /** The rule that marks those whose address is replaced; none if nobody's is. */
  #mark(masquerade: Destination['masquerade'], rule: (sources: SourceMatch) => KnownRule): KnownRule[] {
    const all = { sources: {}, chain: chainNames.markMasquerade };
    const marked = masquerade === 'always' ? all : masquerade === 'never' ? undefined : offClusterMark(this.#context);
    if (marked === undefined) return [];
    return [{ ...rule(marked.sources), target: { kind: 'jump', chain: marked.chain } }];
  }

  /** The chain that addresses for outside lead to, which is the same for all that are served alike. */
  #external(frontend: Frontend): string {
    const same = this.#externals.find(({ frontend: other }) => sameService(frontend, other));
    if (same !== undefined) return same.chain;
    const chain = this.#name('EXT', this.#externals.length === 0 ? '' : frontendText(frontend));
    this.#externals.push({ frontend, chain });
    const text = `${this.#port.name} external destinations`;
    const rules = [
      ...(frontend.inside === undefined ? [] : this.#insiders(frontend.inside, text)),
      ...this.#mark(frontend.masquerade, (sources) => ({
        ...sources,
        matches: [comment(`masquerade traffic for ${text}`)],
      })),
    ];
    if (frontend.endpoints.length > 0) {
      rules.push({ matches: [], target: { kind: 'jump', chain: this.#policy(frontend.endpoints) } });
    }
    this.#chains.push({ table: 'nat', name: chain, rules });
    return chain;
  }

  /** Pods and the node's own processes go where traffic inside the cluster goes. */
  #insiders(inside: Destination, text: string): KnownRule[] {
    const { endpoints, masquerade } = inside;
    const target: Target =
      endpoints.length === 0 ? { kind: 'RETURN' } : { kind: 'jump', chain: this.#policy(endpoints) };
    const mark: Target = { kind: 'jump', chain: chainNames.markMasquerade };
    const pods = podSources(this.#context).flatMap((sources) => {
      const matches = [comment(`pod traffic for ${text}`)];
      return [
        ...(masquerade === 'always' ? [{ ...sources, matches, target: mark }] : []),
        { ...sources, matches, target },
      ];
    });
    const local = (verb: string): Match[] => [
      comment(`${verb} LOCAL traffic for ${text}`),
      { kind: 'addrtype', source: { value: 'LOCAL' } },
    ];
    return [
      ...pods,
      ...(masquerade === 'never' ? [] : [{ matches: local('masquerade'), target: mark }]),
      { matches: local('route'), target },
    ];
  }

  /** A chain that lets only clients within the source ranges go on. */
  #firewall(frontend: Frontend, to: string): string {
    const name = this.#firewallName(frontend);
    if (this.#chains.some((chain) => chain.table === 'nat' && chain.name === name)) return name;
    const matches = [comment(`${this.#port.name} ${kindWord[frontend.kind]}`)];
    const rest = comment(`other traffic to ${this.#port.name} will be dropped by ${chainNames.firewall}`);
    const target: Target = { kind: 'jump', chain: to };
    const rules = [...rangeSources(frontend).map((sources) => ({ ...sources, matches, target })), { matches: [rest] }];
    this.#chains.push({ table: 'nat', name, rules });
    return name;
  }

  /**
   * Drops what is outside the source ranges. Where everybody within them is translated before, that is all that is left;
   * otherwise those who may pass do so, to be answered as if there were no ranges.
   */
  #guard(frontend: Frontend, allAnswer: boolean): void {
    const { ip, port } = frontend;
    const name = this.#firewallName(frontend);
    const matches = [comment(`${this.#port.name} traffic not accepted by ${name}`)];
    const drop: Target = { kind: 'DROP' };
    const rule = this.#toFrontend(ip, port, matches);
    this.#share('filter', chainNames.firewall, { ...rule, target: allAnswer ? drop : { kind: 'jump', chain: name } });
    if (allAnswer || this.#chains.some((chain) => chain.table === 'filter' && chain.name === name)) return;
    const returns = rangeSources(frontend).map(
      (sources): KnownRule => ({ ...sources, matches: [], target: { kind: 'RETURN' } }),
    );
    this.#chains.push({ table: 'filter', name, rules: [...returns, { matches: [], target: drop }] });
  }

  /** Balancer addresses have ranges of their own where each is allowed to come from itself. */
  #firewallName(frontend: Frontend): string {
    const guarded = this.#guarded();
    const same = guarded.find((other) => sameService(frontend, other) && rangeText(frontend) === rangeText(other));
    return this.#name('FW', same === undefined || same === guarded[0] ? '' : frontendText(same));
  }

  #guarded(): Frontend[] {
    const { family } = this.#context;
    return this.#port.frontends.filter(({ ip, sourceRanges }) => sourceRanges !== undefined && familyOf(ip) === family);
  }

  /** The chain that chooses among endpoints, with those of the endpoints. */
  #policy(endpoints: Endpoints): string {
    const name = this.#policies.nameOf(endpoints);
    if (this.#chains.some((chain) => chain.name === name)) return name;
    const { affinitySeconds } = this.#port;
    const chosen = endpoints.map((endpoint) => {
      const chain = this.#endpoint(endpoint);
      return { chain, comment: comment(`${this.#port.name} -> ${endpointText(endpoint)}`) };
    });
    const sticky =
      affinitySeconds === undefined
        ? []
        : chosen.map(
            ({ chain, comment }): KnownRule => ({
              matches: [comment, { kind: 'recent rcheck', seconds: affinitySeconds, reap: true, name: chain }],
              target: { kind: 'jump', chain },
            }),
          );
    const drawn = chosen.map(
      ({ chain, comment }, i): KnownRule => ({
        matches: i === chosen.length - 1 ? [comment] : [comment, oneIn(chosen.length - i)],
        target: { kind: 'jump', chain },
      }),
    );
    this.#chains.push({ table: 'nat', name, rules: [...sticky, ...drawn] });
    return name;
  }

  #endpoint(endpoint: Endpoint): string {
    const { ip, port } = endpoint;
    const name = this.#name('SEP', endpointText(endpoint));
    if (this.#endpoints.has(name)) return name;
    this.#endpoints.add(name);
    const named = comment(this.#port.name);
    const remember: Match[] = this.#port.affinitySeconds === undefined ? [] : [{ kind: 'recent set', name }];
    const protocol: Match = { kind: 'ports', protocol: this.#protocol };
    const rules: KnownRule[] = [
      // A Pod that reaches itself would answer itself, past this node.
      {
        source: { value: hostBlock(ip) },
        matches: [named],
        target: { kind: 'jump', chain: chainNames.markMasquerade },
      },
      {
        protocol: { value: this.#protocol },
        matches: [named, ...remember, protocol],
        target: { kind: 'DNAT', ip, port },
      },
    ];
    this.#chains.push({ table: 'nat', name, rules });
    return name;
  }

  #name(kind: ServiceChain, of: string): string {
    return serviceChainName(kind, this.#port, of);
  }

  #toPort(port: number, matches: readonly Match[]): KnownRule {
    const protocol = this.#protocol;
    return {
      protocol: { value: protocol },
      matches: [...matches, { kind: 'ports', protocol, destinationPort: port }],
    };
  }

  #toFrontend(ip: Ip, port: number, matches: readonly Match[]): KnownRule {
    return { destination: { value: hostBlock(ip) }, ...this.#toPort(port, matches) };
  }

  #share(table: TableName, chain: string, rule: Rule): void {
    this.#shared.push({ table, chain, rule });
  }

  #isNew(nodePort: string): boolean {
    const before = this.#nodePorts.size;
    return this.#nodePorts.add(nodePort).size > before;
  }
}

/**
 * The names of the chains that choose among endpoints. As in kube-proxy, `SVC` is for those of the whole cluster and
 * `SVL` for those of this node alone; a Service port that has one list only has it as `SVC`.
 */
class PolicyChains {
  readonly #named: { readonly endpoints: Endpoints; readonly name: string }[] = [];

  constructor(port: ServicePort, frontends: readonly Frontend[]) {
    const outside = frontends.filter(({ kind }) => kind !== 'cluster-ip');
    const open = [
      ...outside.map((frontend) => ({
        frontend,
        endpoints: (frontend.inside ?? frontend).endpoints,
        kind: 'SVC' as const,
      })),
      ...frontends.flatMap((frontend) =>
        frontend.kind === 'cluster-ip' ? [{ frontend, endpoints: frontend.endpoints, kind: 'SVC' as const }] : [],
      ),
      ...outside.map((frontend) => ({ frontend, endpoints: frontend.endpoints, kind: 'SVL' as const })),
    ];
    for (const { frontend, endpoints, kind } of open) {
      if (endpoints.length === 0 || this.#find(endpoints) !== undefined) continue;
      const names = [kind, kind === 'SVC' ? 'SVL' : 'SVC'].map((word) => serviceChainName(word as ServiceChain, port));
      names.push(serviceChainName('SVC', port, frontendText(frontend)));
      const name = names.find((candidate) => this.#named.every((taken) => taken.name !== candidate)) ?? '';
      this.#named.push({ endpoints, name });
    }
  }

  nameOf(endpoints: Endpoints): string {
    return this.#find(endpoints)?.name ?? '';
  }

  #find(endpoints: Endpoints) {
    return this.#named.find((named) => sameEndpoints(named.endpoints, endpoints));
  }
}

function sameEndpoints(some: Endpoints, others: Endpoints): boolean {
  if (some === others) return true;
  if (some.length !== others.length) return false;
  return some.every(({ ip, port }, i) => ip === others[i]?.ip && port === others[i]?.port);
}

function sameDestination(some: Destination, others: Destination): boolean {
  return some.masquerade === others.masquerade && sameEndpoints(some.endpoints, others.endpoints);
}

/** Whether one chain serves clients of both frontends. */
function sameService(some: Frontend, others: Frontend): boolean {
  if (!sameDestination(some, others)) return false;
  if (some.inside === undefined || others.inside === undefined) return some.inside === others.inside;
  return sameDestination(some.inside, others.inside);
}

function rangeSources({ sourceRanges = [] }: Frontend): SourceMatch[] {
  return sourceRanges.map((range) => (range.prefix === 0 ? {} : { source: { value: formatCidr(range) } }));
}

function rangeText({ sourceRanges = [] }: Frontend): string {
  return sourceRanges.map(formatCidr).join(' ');
}

/** An address and port as rules and names of chains have them: `10.244.1.2:8080`, `[fd00::2]:8080`. */
function endpointText({ ip, port }: Pick<Endpoint, 'ip' | 'port'>): string {
  return familyOf(ip) === 'IPv6' ? `[${ip}]:${port}` : `${ip}:${port}`;
}

function frontendText({ ip, port }: Frontend): string {
  return endpointText({ ip, port });
}

const protocolWord: { readonly [P in ServicePort['protocol']]: TransportProtocol } = {
  TCP: 'tcp',
  UDP: 'udp',
  SCTP: 'sctp',
};

const kindWord: { readonly [K in Frontend['kind']]: string } = {
  'cluster-ip': 'cluster IP',
  'external-ip': 'external IP',
  'load-balancer-ip': 'loadbalancer IP',
  'node-port': 'node port',
};
