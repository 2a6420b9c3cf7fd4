import { createLogger } from '../../src/component/log.ts';
import { type Conntrack, openConntrack } from '../../src/kernel/conntrack.ts';
import { unshareNetns } from '../../src/kernel/netns.ts';
import { predict } from '../../src/model/predict.ts';
import type { ServiceModel } from '../../src/model/service-model.ts';
import type { ServicePort } from '../../src/model/types.ts';
import { bits } from '../../src/net/cidr.ts';
import type { Ip, IpFamily } from '../../src/net/ip.ts';
import type { Backend } from '../../src/proxy/backend.ts';
import { parseProxyConfig } from '../../src/proxy/config.ts';
import { openBackend } from '../../src/proxy/modes.ts';
import type { ProxyMode } from '../../src/proxy/proxy-mode.ts';
import { type CallOutcome, effortFor, judge, readWord } from './judge.ts';
import { expectedOf } from './limits.ts';
import { attemptOf, modelOf, nodeFactsOf, ownAddresses, targetOf } from './objects.ts';
import { addresses, families, manyAddresses } from './places.ts';
import { allAsNode, type Call, type Scenario } from './scenario.ts';
import { type Command, crowdSize, Topology } from './topology.ts';

/** A call in one family, in the scenario that it belongs to. */
export interface CallIn {
  readonly scenario: Scenario;
  readonly family: IpFamily;
  readonly call: Omit<Call, 'expect'>;
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

  /**
   * Lays the test bed, of which a new network namespace of this process is the node, and opens the mode's backend.
   * @param furnish what is to be in that namespace before the mode is opened
   */
  static async open(mode: ProxyMode, furnish: () => void = () => {}): Promise<Stage> {
    unshareNetns();
    furnish();
    const topology = new Topology();
    await topology.start();
    const log = createLogger('conformance');
    log.level = 'error';
    const backend = await openBackend[mode]({ config: parseProxyConfig({ mode }), log });
    await backend.prepare(nodeFactsOf({}));
    return new Stage(mode, { topology, backend });
  }

  async close(): Promise<void> {
    await this.#backend.cleanup();
    this.#backend.close();
    this.#conntrack.close();
    this.topology.close();
  }

  /** Plays a scenario: brings it into the kernel, calls as it says, and gives a line for each thing that is wrong. */
  async play(scenario: Scenario): Promise<string[]> {
    const undo = this.#addBalancerAddress(scenario);
    try {
      const model = modelOf(scenario);
      const problems = [...(await this.serve(model)), ...(await this.#differences())];
      // What began before would go on as it began.
      this.#conntrack.delete(() => true);
      const ofCalls = scenario.calls.flatMap((call) =>
        (call.families ?? families).map((family) => this.#try({ scenario, family, call }, model)),
      );
      return [...problems, ...(await Promise.all(ofCalls)).flat()];
    } finally {
      undo();
    }
  }

  /** Puts the model into the kernel in place of the one before. */
  async serve(model: ServiceModel): Promise<string[]> {
    const updates = new Map<string, ServicePort | undefined>(model.servicePorts);
    for (const name of this.#servicePorts.keys()) if (!updates.has(name)) updates.set(name, undefined);
    const { refused } = await this.#backend.sync(model.node, updates);
    this.#servicePorts = new Map(model.servicePorts);
    return [...refused].map(([name, error]) => `${name} is refused: ${error.message}`);
  }

  /** Removes all that the mode has in the kernel. */
  async clean(): Promise<void> {
    await this.#backend.cleanup();
    this.#servicePorts = new Map();
  }

  /** What the backend itself finds wrong with what it has just written. */
  async #differences(): Promise<string[]> {
    const { repaired } = await this.#backend.check(new AbortController().signal);
    return repaired.map((line) => `what was written was not as it should be: ${line}`);
  }

  /** What one call from each of a crowd of Pods comes to. */
  async crowd(callIn: CallIn): Promise<string[]> {
    const sources = manyAddresses(callIn.family, crowdSize);
    return (await this.outcomes(callIn, { times: 1, timeout: 20_000, sources })).map(({ word }) => word);
  }

  /** What calls come to, so many from each source, in the order of the sources. */
  async outcomes(
    { scenario, family, call }: CallIn,
    command: Pick<Command, 'times' | 'timeout'> & { readonly sources?: readonly Ip[] | undefined },
  ): Promise<CallOutcome[]> {
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

  async #try(callIn: CallIn, model: ServiceModel): Promise<string[]> {
    const { scenario, family, call } = callIn;
    const attempt = attemptOf(scenario, family, call);
    const outcome = predict(model, attempt);
    const isRemembered = outcome.kind === 'served' && outcome.affinitySeconds !== undefined;
    const ofMode = expectedOf(this.mode, { model, attempt });
    // A process of the node has one of the node's addresses in any case.
    const expected = call.from === 'node' ? allAsNode(ofMode) : ofMode;
    const expectation = { expected, isRemembered, many: call.many === true };
    const sources = sourcesOf(callIn, isRemembered);
    const { rounds, ...command } = effortFor(expectation);
    const outcomes: CallOutcome[] = [];
    for (let i = 0; i < rounds; i++) outcomes.push(...(await this.outcomes(callIn, { ...command, sources })));
    return judge(outcomes, expectation).map((problem) => `${family}, ${call.from} → ${call.to}: ${problem}`);
  }

  #addBalancerAddress({ node }: Scenario): () => void {
    if (node?.hasBalancerAddress !== true) return () => {};
    const { routes } = this.topology.node;
    const added = families.map((family) => ({ ip: addresses[family].balancer, prefix: bits(family) }));
    for (const address of added) routes.addAddress('lo', address);
    return () => {
      for (const address of added) routes.removeAddress('lo', address);
    };
  }
}

/** The client's own address, or a crowd's; what the kernel chooses, where the node calls. */
function sourcesOf({ call: { from }, family }: CallIn, isRemembered: boolean): readonly Ip[] | undefined {
  if (from === 'node') return undefined;
  return from === 'podC' && isRemembered ? manyAddresses(family, crowdSize) : [addresses[family][from]];
}
