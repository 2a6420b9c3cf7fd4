import type { Backend, BackendOptions } from './backend.ts';
import type { ProxyMode } from './proxy-mode.ts';

/**
 * Every proxy mode's backend, on the kernel of the network namespace this process is in. Only the one that is asked
 * for is loaded.
 * @throws SignalboxError when the kernel or the machine lacks what the mode needs
 */
export const openBackend: { readonly [M in ProxyMode]: (options: BackendOptions) => Promise<Backend> } = {
  nftables: async () => (await import('./nftables/backend.ts')).openNftablesBackend(),
  iptables: async ({ config, log }) => {
    const { masqueradeBit } = config.sync;
    const { localhostNodePorts } = config.iptables;
    const { openIptablesBackend } = await import('./iptables/backend.ts');
    return openIptablesBackend({ masqueradeBit, localhostNodePorts }, log);
  },
  ipvs: async ({ config: { sync, ipvs }, log }) =>
    (await import('./ipvs/backend.ts')).openIpvsBackend({ ...ipvs, masqueradeBit: sync.masqueradeBit }, log),
  userspace: async (options) => (await import('./userspace/open.ts')).openUserspaceBackend(options),
};
