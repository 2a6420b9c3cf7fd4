import type { NodeModel } from '../../model/types.ts';
import type { IpFamily } from '../../net/ip.ts';
import { ElementStore } from '../../rules/nftables/elements.ts';
import type { Program } from '../../rules/nftables/syntax.ts';
import { compileBase } from './compile.ts';
import { compileServicePort } from './service.ts';

/**
 * The whole table of one family for a node, as the kernel would have it if nothing had been there before. The proxy
 * goes from change to change instead.
 * @throws SignalboxError `TOO_MANY_ENDPOINTS`
 */
export function compileProgram(
  { node, servicePorts }: Pick<NodeModel, 'node' | 'servicePorts'>,
  family: IpFamily,
): Program {
  const store = new ElementStore();
  const affinitySeconds = new Set<number>();
  for (const port of servicePorts.values()) {
    const elements = compileServicePort(port, family);
    store.replace(port.name, elements);
    if (elements.length > 0 && port.affinitySeconds !== undefined) affinitySeconds.add(port.affinitySeconds);
  }
  const base = compileBase({ localTraffic: node.localTraffic, affinitySeconds: [...affinitySeconds] }, family);
  return { ...base, elements: [...base.elements, ...[...store.groups()].flat()] };
}
