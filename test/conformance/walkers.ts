import { compileBase } from '../../src/backends/nftables/compile.ts';
import { compileServicePort } from '../../src/backends/nftables/service.ts';
import type { NodeModel } from '../../src/model/types.ts';
import type { IpFamily } from '../../src/net/ip.ts';
import { ElementStore } from '../../src/rules/nftables/elements.ts';
import { PacketWalker } from '../../src/rules/nftables/walk.ts';
import type { Surroundings, Walker } from '../../src/rules/packet.ts';

/**
 * Compiles what a proxy mode makes of a model for one family, and gives what opens it for packets that are values. Each
 * walker remembers nothing of what went through another one.
 */
export type CompileWalker = (model: NodeModel, family: IpFamily) => (surroundings: Surroundings) => Walker;

/** The modes whose rules can be walked. */
export const walkers: { readonly [mode: string]: CompileWalker } = {
  nftables: walkNftables,
};

function walkNftables({ node, servicePorts }: NodeModel, family: IpFamily): (surroundings: Surroundings) => Walker {
  const store = new ElementStore();
  for (const port of servicePorts.values()) store.replace(port.name, compileServicePort(port, family));
  const base = compileBase(node, family);
  const program = { ...base, elements: [...base.elements, ...[...store.groups()].flat()] };
  return (surroundings) => new PacketWalker(program, surroundings);
}
