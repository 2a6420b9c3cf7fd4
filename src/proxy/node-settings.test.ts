import { describe, expect, it } from 'vitest';
import type { Logger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import { parseProxyConfig } from './config.ts';
import { applyNodeSettings } from './node-settings.ts';

const established = 'net.netfilter.nf_conntrack_tcp_timeout_established';
const closeWait = 'net.netfilter.nf_conntrack_tcp_timeout_close_wait';
const max = 'net.netfilter.nf_conntrack_max';
const buckets = 'net.netfilter.nf_conntrack_buckets';
const timesOnly = { conntrack: { maxPerCore: 0, tcpCloseWaitTimeout: '30m' }, oomScoreAdj: -5 };

/** Parameters of a kernel, some of which may not be written. */
function kernelWith(values: { [name: string]: number }, forbidden: readonly string[] = [], config: object = timesOnly) {
  const written: { [name: string]: number } = {};
  const write = (name: string, value: number) => {
    if (forbidden.includes(name))
      throw new SignalboxError('KERNEL_REFUSED', { object: name, problem: 'cannot be set', remedy: 'be root' });
    written[name] = value;
  };
  const lines: object[] = [];
  const log = { warn: (details: object) => lines.push(details) } as unknown as Logger;
  applyNodeSettings(parseProxyConfig(config), log, {
    readSysctl: (name) => String(values[name]),
    writeSysctl: write,
    setOomScoreAdj: (value) => write('oom', value),
  });
  return { written, lines };
}

describe('applyNodeSettings', () => {
  it('writes what differs', () => {
    const { written, lines } = kernelWith({ [established]: 86_400, [closeWait]: 60 });
    expect(written).toEqual({ [closeWait]: 1800, oom: -5 });
    expect(lines).toEqual([]);
  });

  it('goes on after what it may not write, and tells of it in one line', () => {
    const { written, lines } = kernelWith({ [established]: 432_000, [closeWait]: 60 }, [established, 'oom']);
    expect(written).toEqual({ [closeWait]: 1800 });
    expect(lines).toEqual([
      {
        refused: [
          `${established} cannot be set: be root [KERNEL_REFUSED]`,
          'oom cannot be set: be root [KERNEL_REFUSED]',
        ],
      },
    ]);
  });

  it('does not touch what has the value already, even if it may not be written', () => {
    const { lines } = kernelWith({ [established]: 86_400, [closeWait]: 1800 }, [established, closeWait]);
    expect(lines).toEqual([]);
  });

  it.each([
    [1_000, { [buckets]: 25_000 }],
    [60_000, {}],
  ])('makes the hash table of %d large enough for the connections, and no smaller', (current, expected) => {
    const config = {
      conntrack: { maxPerCore: 1, min: 100_000, tcpEstablishedTimeout: '0s', tcpCloseWaitTimeout: '0s' },
    };
    const { written } = kernelWith({ [max]: 100_000, [buckets]: current }, ['oom'], config);
    expect(written).toEqual(expected);
  });
});
