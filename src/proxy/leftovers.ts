import type { Logger } from '../component/log.ts';
import { isSignalboxError } from '../errors/error.ts';
import type { Backend } from './backend.ts';
import { parseProxyConfig } from './config.ts';
import { openAllowed } from './modes.ts';
import { type ProxyMode, proxyModes } from './proxy-mode.ts';

/** What was found of one mode. */
export interface Leftovers {
  readonly mode: ProxyMode;
  readonly removed: readonly string[];
  /** Why not all could be removed. */
  readonly error?: unknown;
}

/** Where modes are opened; for tests. */
export type OpenMode = (mode: ProxyMode) => Promise<Backend>;

/**
 * Removes what modes have in the kernel of this network namespace, whoever left it there. With `current`, the mode that
 * is in use, that one is left alone, and so is what others share with it. What one mode has against it does not keep
 * the others' from being removed. A mode that the kernel or the machine lacks can have left nothing.
 */
export async function removeLeftovers(open: OpenMode, current?: ProxyMode): Promise<Leftovers[]> {
  const found: Leftovers[] = [];
  for (const mode of proxyModes) {
    if (mode === current) continue;
    try {
      const removed = await cleanUp(await open(mode), current);
      if (removed.length > 0) found.push({ mode, removed });
    } catch (error) {
      if (!isLacking(error)) found.push({ mode, removed: [], error });
    }
  }
  return found;
}

/** Opens modes with nothing configured: what they left does not depend on it. */
export function openForCleanup(log: Logger): OpenMode {
  return (mode) => openAllowed(mode, { config: parseProxyConfig({ mode }), log });
}

async function cleanUp(backend: Backend, current: ProxyMode | undefined): Promise<readonly string[]> {
  try {
    return await backend.cleanup(current);
  } finally {
    backend.close();
  }
}

const lacks = ['KERNEL_LACKS_NFTABLES', 'KERNEL_LACKS_IPVS', 'KERNEL_LACKS_FEATURE', 'IPTABLES_ABSENT'] as const;

/** Whether the kernel or the machine lacks a mode, which then has left nothing. */
export function isLacking(error: unknown): boolean {
  return lacks.some((code) => isSignalboxError(error, code));
}
