import { SignalboxError } from '../errors/error.ts';
import { isKernelError } from '../kernel/ffi.ts';
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

/**
 * As `openBackend`, for processes that may lack rights.
 * @throws SignalboxError `KERNEL_REFUSED` when this process may not use what the mode needs
 */
export async function openAllowed(mode: ProxyMode, options: BackendOptions): Promise<Backend> {
  try {
    return await openBackend[mode](options);
  } catch (error) {
    throw isKernelError(error, 'EPERM') ? mayNot(mode, error) : error;
  }
}

function mayNot(mode: ProxyMode, cause: Error): SignalboxError {
  return new SignalboxError('KERNEL_REFUSED', {
    object: `proxy mode ${mode}`,
    problem: `may not be used by this process (${cause.message})`,
    remedy: 'run it as root with CAP_NET_ADMIN',
    cause,
  });
}
