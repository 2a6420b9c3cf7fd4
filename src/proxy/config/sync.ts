import {
  type ConfigFields,
  type ConfigValue,
  readBoolean,
  readDuration,
  readInteger,
} from '../../component/config-fields.ts';

/** How the mode in use writes to the kernel; all times in milliseconds. */
export interface SyncSettings {
  /** Time between comparisons with the kernel. */
  readonly syncPeriod: number;
  /** Least time between two syncs. The first change after a pause does not wait. */
  readonly minSyncPeriod: number;
  /** Whether every connection to a cluster IP gets the node's address as its source. */
  readonly masqueradeAll: boolean;
  /** The bit of the packet mark, 0 to 31, by which a mode that marks packets remembers which to masquerade. */
  readonly masqueradeBit: number;
}

const defaultSyncPeriodMs = 30_000;
/** At most 100 syncs a second under load: well below what a person or a probe notices. */
const defaultMinSyncPeriodMs = 10;
/** The tool reads and writes whole tables of the kernel, so that each run costs. */
const defaultIptablesMinSyncPeriodMs = 100;
const defaultMasqueradeBit = 14;

/** One mode's own group of fields, as far as modes have the same. */
export type SyncGroup = { readonly [K in keyof SyncSettings]: SyncSettings[K] | undefined };

/** The fields that every mode's group has. */
export function readPeriods(fields: ConfigFields): Pick<SyncGroup, 'syncPeriod' | 'minSyncPeriod'> {
  const syncPeriod = fields.optional('syncPeriod', readPeriod);
  const minSyncPeriod = fields.optional('minSyncPeriod', (at) => readMinSyncPeriod(at, syncPeriod));
  return { syncPeriod, minSyncPeriod };
}

/** The same with those of modes that have a say in masquerading. */
export function readSyncGroup(fields: ConfigFields): SyncGroup {
  return {
    ...readPeriods(fields),
    masqueradeAll: fields.optional('masqueradeAll', readBoolean),
    masqueradeBit: fields.explicit('masqueradeBit', readInteger(0, 31)),
  };
}

/**
 * What holds in a mode. As in kube-proxy, ipvs mode takes its masquerading from the group `iptables`, whose rules it
 * uses, and userspace mode takes all from there.
 */
export function syncSettings(
  mode: string,
  groups: {
    readonly iptables: SyncGroup;
    readonly nftables: SyncGroup;
    readonly ipvs: Pick<SyncGroup, 'syncPeriod' | 'minSyncPeriod'>;
  },
): SyncSettings {
  const group = mode === 'nftables' ? groups.nftables : { ...groups.iptables, ...(mode === 'ipvs' ? groups.ipvs : {}) };
  return {
    syncPeriod: group.syncPeriod ?? Math.max(defaultSyncPeriodMs, group.minSyncPeriod ?? 0),
    minSyncPeriod:
      group.minSyncPeriod ?? (mode === 'iptables' ? defaultIptablesMinSyncPeriodMs : defaultMinSyncPeriodMs),
    masqueradeAll: group.masqueradeAll ?? false,
    masqueradeBit: group.masqueradeBit ?? defaultMasqueradeBit,
  };
}

/** Timers go no further than this many milliseconds, 24 days. */
const longestPeriodMs = 2 ** 31 - 1;

function readPeriod(at: ConfigValue): number {
  const period = readDuration(at);
  if (period > longestPeriodMs) throw at.valueError('is longer than 24 days', 'make it shorter');
  return period;
}

function readMinSyncPeriod(at: ConfigValue, syncPeriod = defaultSyncPeriodMs): number {
  const minSyncPeriod = readDuration(at);
  if (minSyncPeriod > syncPeriod) {
    throw at.valueError(`is longer than syncPeriod (${syncPeriod / 1000} s)`, 'make it shorter, or syncPeriod longer');
  }
  return minSyncPeriod;
}
