import { createLogger } from '../../src/component/log.ts';
import { type Conntrack, openConntrack } from '../../src/kernel/conntrack.ts';
import type { ServiceModel } from '../../src/model/service-model.ts';
import type { ServicePort } from '../../src/model/types.ts';
import { bits } from '../../src/net/cidr.ts';
import type { Ip, IpFamily } from '../../src/net/ip.ts';
import type { Backend } from '../../src/proxy/backend.ts';
import { type ProxyMode, parseProxyConfig } from '../../src/proxy/config.ts';
import { openBackend } from '../../src/proxy/modes.ts';
import { effortFor, judge, type Outcome, readWord } from './judge.ts';
import { expectedOf } from './limits.ts';
import { attemptOf, modelOf, nodeFactsOf, ownAddresses, predictedText, targetOf } from './objects.ts';
import { addresses, manyAddresses } from './places.ts';
import { allAsNode, type Call, type Scenario } from './scenario.ts';
import { type Command, crowdSize, Topology } from './topology.ts';

/** A scenario in one family. */
export interface Setting {
  readonly scenario: Scenario;
  readonly family: IpFamily;
}

/** The test bed with a proxy mode's backend on the node: plays scenarios in the kernel, and says what went wrong. */
export class Stage {
  readonly mode: ProxyMode;
  readonly topology: Topology;
  readonly #backend: Backend;
  readonly #conntrack: Conntrack;
  #servicePorts: ReadonlyMap<string, ServicePort> = new Map();

  private constructor(mode: ProxyMode, { topology, backend }: { topology: Topology; backend: Backend }) {
    this.mode = mode;
    this.topology = topology;
    this.#backend = backend;
    this.#conntrack = openConntrack();
  }

  /** Lays the test bed, of which the network namespace of this process is the node, and opens the mode's backend. */
  static async open(mode: ProxyMode): Promise<Stage> {
    const topology = new Topology();
    await topology.start();
    const log = createLogger('conformance');
    log.level = 'error';
    const backend = await openBackend[mode]({ config: parseProxyConfig({ mode }), log });
    await backend.prepare(nodeFactsOf({ name: 'empty', services: [], calls: [] }, 'IPv4'));
    return new Stage(mode, { topology, backend });
  }

  async close(): Promise<void> {
    await this.#backend.cleanup();
    this.#backend.close();
    this.#conntrack.close();
    this.topology.close();
  }

  /** Plays a scenario: brings it into the kernel, calls as it says, and gives a line for each thing that is wrong. */
  async play(setting: Setting): Promise<string[]> {
    const undo = this.#addBalancerAddress(setting);
    try {
      const model = modelOf(setting.scenario, setting.family);
      const problems = await this.serve(model);
      const ofCalls = await Promise.all(setting.scenario.calls.map((call) => this.#try(call, setting, model)));
      return [...problems, ...ofCalls.flat()];
    } finally {
      undo();
    }
  }

  /** Puts the model into the kernel in place of the one before, and lets it forget connections. */
  async serve(model: ServiceModel): Promise<string[]> {
    const updates = new Map<string, ServicePort | undefined>(model.servicePorts);
    for (const name of this.#servicePorts.keys()) if (!updates.has(name)) updates.set(name, undefined);
    const { refused } = await this.#backend.sync(model.node, updates);
    this.#servicePorts = new Map(model.servicePorts);
    this.#conntrack.delete(() => true);
    return [...refused].map(([name, error]) => `${name} is refused: ${error.message}`);
  }

  /** What calls of one kind come to, so many from each source, in the order of the sources. */
  async outcomes(
    call: Omit<Call, 'expect'>,
    { scenario, family }: Setting,
    command: Pick<Command, 'times' | 'timeout'> & { readonly sources?: readonly Ip[] | undefined },
  ): Promise<Outcome[]> {
    const { protocol } = attemptOf(scenario, family, call);
    if (protocol === 'sctp') throw new Error('no agent speaks SCTP');
    const { times, timeout, sources } = command;
    const { outcomes } = await this.topology.place(call.from).call({
      protocol,
      ...targetOf(scenario, family, call),
      times,
      timeout,
      ...(sources && { sources }),
    });
    const own = ownAddresses(scenario, family);
    return outcomes.map((text, i) => {
      const source = Math.floor(i / times);
      return { source, word: readWord(text, { source: sources?.[source], own }) };
    });
  }

  async #try(call: Call, setting: Setting, model: ServiceModel): Promise<string[]> {
    const { scenario, family } = setting;
    const predicted = expectedOf(this.mode, predictedText(model, attemptOf(scenario, family, call)));
    const isRemembered = scenario.services[call.service ?? 0]?.affinity !== undefined;
    // A process of the node has one of the node's addresses in any case.
    const expected = call.from === 'node' ? allAsNode(predicted) : predicted;
    const expectation = { expected, isRemembered, many: call.many === true };
    const sources = sourcesOf(call, { family, isRemembered });
    const { rounds, ...command } = effortFor(expectation);
    const outcomes: Outcome[] = [];
    for (let i = 0; i < rounds; i++) outcomes.push(...(await this.outcomes(call, setting, { ...command, sources })));
    return judge(outcomes, expectation).map((problem) => `${family}, ${call.from} → ${call.to}: ${problem}`);
  }

  #addBalancerAddress({ scenario, family }: Setting): () => void {
    if (scenario.node?.hasBalancerAddress !== true) return () => {};
    const { routes } = this.topology.node;
    const address = { ip: addresses[family].balancer, prefix: bits(family) };
    routes.addAddress('lo', address);
    return () => routes.removeAddress('lo', address);
  }
}

/** The client's own address, or a crowd's; what the kernel chooses, where the node calls. */
function sourcesOf(
  { from }: Call,
  { family, isRemembered }: { readonly family: IpFamily; readonly isRemembered: boolean },
): readonly Ip[] | undefined {
  if (from === 'node') return undefined;
  return from === 'podC' && isRemembered ? manyAddresses(family, crowdSize) : [addresses[family][from]];
}
