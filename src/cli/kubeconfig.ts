import { requireRunning } from '../cluster/state.ts';

/** Prints the path of a running cluster's kubeconfig. */
export function kubeconfig(options: { readonly name: string }): void {
  console.log(requireRunning(options.name).paths.kubeconfig);
}
