import { availableParallelism } from 'node:os';
import { type ConfigFields, readBoolean, readDuration, readInteger } from '../../component/config-fields.ts';

/** A kernel parameter and what it is to be. */
export interface SysctlSetting {
  readonly name: string;
  readonly value: number;
  /** Whether a higher value may stay. */
  readonly orMore?: true;
}

/** What connection tracking is to be set to; only what is to be changed. */
export type ConntrackSettings = readonly SysctlSetting[];

const defaultMaxPerCore = 32 * 1024;
const defaultMin = 128 * 1024;
const defaultTcpEstablishedMs = 24 * 3_600_000;
const defaultTcpCloseWaitMs = 3_600_000;
const connectionsPerBucket = 4;
const maxInt32 = 2 ** 31 - 1;

/**
 * Reads the group `conntrack` as kube-proxy does: a size for each processor with a floor, and times, of which 0 leaves
 * what the kernel has.
 */
export function conntrackSettings(
  fields: ConfigFields,
  processors: number = availableParallelism(),
): ConntrackSettings {
  const maxPerCore = fields.explicit('maxPerCore', readInteger(0, maxInt32)) ?? defaultMaxPerCore;
  const min = fields.explicit('min', readInteger(0, maxInt32)) ?? defaultMin;
  const tcpBeLiberal = fields.optional('tcpBeLiberal', readBoolean) ?? false;
  const max = maxPerCore === 0 ? 0 : Math.max(min, maxPerCore * processors);
  const settings: SysctlSetting[] = [
    { name: 'max', value: max },
    // Of a hash table with longer chains every packet would pay.
    { name: 'buckets', value: Math.ceil(max / connectionsPerBucket), orMore: true },
    {
      name: 'tcp_timeout_established',
      value: seconds(fields.explicit('tcpEstablishedTimeout', readDuration) ?? defaultTcpEstablishedMs),
    },
    {
      name: 'tcp_timeout_close_wait',
      value: seconds(fields.explicit('tcpCloseWaitTimeout', readDuration) ?? defaultTcpCloseWaitMs),
    },
    { name: 'tcp_be_liberal', value: tcpBeLiberal ? 1 : 0 },
    { name: 'udp_timeout', value: seconds(fields.optional('udpTimeout', readDuration) ?? 0) },
    { name: 'udp_timeout_stream', value: seconds(fields.optional('udpStreamTimeout', readDuration) ?? 0) },
  ];
  return settings
    .filter(({ value }) => value > 0)
    .map((setting) => ({ ...setting, name: `net.netfilter.nf_conntrack_${setting.name}` }));
}

/** The kernel counts in whole seconds; a part of one is not to become the 0 that changes nothing. */
function seconds(ms: number): number {
  return Math.ceil(ms / 1000);
}
