import type { RuleContext } from '../../src/backends/iptables/compile.ts';
import { compileProgram as compileIpvs } from '../../src/backends/ipvs/program.ts';
import { compileProgram } from '../../src/backends/nftables/program.ts';
import type { NodeModel } from '../../src/model/types.ts';
import type { IpFamily } from '../../src/net/ip.ts';
import type { ProxyMode } from '../../src/proxy/proxy-mode.ts';
import { parseProgram } from '../../src/rules/iptables/parse.ts';
import { PacketWalker as IptablesWalker } from '../../src/rules/iptables/walk.ts';
import { IpvsWalker } from '../../src/rules/ipvs/walk.ts';
import { PacketWalker } from '../../src/rules/nftables/walk.ts';
import type { Surroundings, Walker } from '../../src/rules/packet.ts';
import { listing } from '../golden/iptables-rules.ts';

/**
 * Compiles what a proxy mode makes of a model for one family, and gives what opens it for packets that are values. Each
 * walker remembers nothing of what went through another one.
 */
export type CompileWalker = (model: NodeModel, family: IpFamily) => (surroundings: Surroundings) => Walker;

/** The modes whose rules can be walked. */
export const walkers: readonly { readonly mode: ProxyMode; readonly compile: CompileWalker }[] = [
  { mode: 'nftables', compile: walkNftables },
  { mode: 'iptables', compile: walkIptables },
  { mode: 'ipvs', compile: walkIpvs },
];

function walkNftables(model: NodeModel, family: IpFamily): (surroundings: Surroundings) => Walker {
  const program = compileProgram(model, family);
  return openWalker(model, (surroundings) => new PacketWalker(program, surroundings));
}

function walkIpvs(model: NodeModel, family: IpFamily): (surroundings: Surroundings) => Walker {
  const program = compileIpvs(model, family);
  return openWalker(model, (surroundings) => new IpvsWalker(program, surroundings));
}

/** Walkers take longer to make than packets to send: where clients are not remembered, there is one for all. */
function openWalker(
  { servicePorts }: NodeModel,
  open: (surroundings: Surroundings) => Walker,
): (surroundings: Surroundings) => Walker {
  const remembers = [...servicePorts.values()].some(({ affinitySeconds }) => affinitySeconds !== undefined);
  return remembers ? open : reopened(open);
}

/** One walker that goes by the surroundings it was last opened in. */
function reopened(open: (surroundings: Surroundings) => Walker): (surroundings: Surroundings) => Walker {
  let current: Surroundings | undefined;
  const walker = open({
    isLocal: (ip) => current?.isLocal(ip) === true,
    random: (modulus) => current?.random(modulus) ?? 0,
    chance: (probability) => current?.chance(probability) === true,
    now: () => current?.now() ?? 0,
  });
  return (surroundings) => {
    current = surroundings;
    return walker;
  };
}

/** As text that is read back: what stands in the kernel is a listing too. */
function walkIptables(model: NodeModel, family: IpFamily): (surroundings: Surroundings) => Walker {
  const { node, servicePorts } = model;
  const context: RuleContext = { node, family, masqueradeBit: 14, localhostNodePorts: true, dropInvalid: true };
  const program = parseProgram(listing(context, servicePorts.values()), family);
  return openWalker(model, (surroundings) => new IptablesWalker(program, surroundings));
}
