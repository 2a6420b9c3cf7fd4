import { requireCommand } from '../kernel/iptables/command.ts';
import { type KernelFeature, requireKernelFeature } from '../kernel/probe.ts';
import type { ProxyMode } from './proxy-mode.ts';

/** What each mode needs of the kernel, beside what every cluster needs. */
const features: { readonly [M in ProxyMode]: readonly KernelFeature[] } = {
  nftables: ['nftables'],
  iptables: [],
  ipvs: ['ipvs', 'ipset', 'dummy'],
  userspace: ['nftables'],
};

/**
 * Makes sure that this machine can do what a mode needs, without touching any network but a fresh one of its own.
 * @throws SignalboxError `KERNEL_LACKS_NFTABLES`, `KERNEL_LACKS_IPVS`, `KERNEL_LACKS_FEATURE`, `IPTABLES_ABSENT`; `NAMESPACE_FAILED`
 */
export function requireMode(mode: ProxyMode): void {
  if (mode === 'iptables' || mode === 'ipvs') requireCommand('iptables');
  for (const feature of [...features[mode], 'conntrack'] as const) requireKernelFeature(feature);
}
