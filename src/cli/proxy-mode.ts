import { askForProxyMode } from '../cluster/control.ts';
import { requireRunning } from '../cluster/state.ts';
import { readProxyMode } from './choices.ts';

/** Moves a running cluster to another proxy mode, node by node, while it serves. */
export async function proxyMode(mode: string, options: { readonly name: string }): Promise<void> {
  const wanted = readProxyMode('proxy mode', mode);
  const { paths, record } = requireRunning(options.name);
  if (record.proxyMode === wanted) {
    console.log(`Cluster ${record.name} is in proxy mode ${wanted} already.`);
    return;
  }
  await askForProxyMode(paths, wanted, (node) => console.log(`${node} is in proxy mode ${wanted}.`));
  console.log(`Cluster ${record.name} went from proxy mode ${record.proxyMode} to ${wanted}.`);
}
