import { randomUUID } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { aborted } from '../component/abort.ts';
import { noPredecessor, type Succession } from '../component/handover.ts';
import type { Logger } from '../component/log.ts';
import { SignalboxError } from '../errors/error.ts';
import type { Backend } from './backend.ts';
import { type ProxyMode, proxyModes } from './proxy-mode.ts';
import { Takeover } from './takeover.ts';

/** A takeover of which every step is noted; other modes have left something as often as `left` says. */
function takeover({
  succession,
  left = 1,
  failures = 0,
  turn = `signalbox-test-${randomUUID()}`,
}: {
  succession?: (note: (step: string) => void) => Succession;
  left?: number;
  failures?: number;
  turn?: string;
}) {
  const steps: string[] = [];
  const note = (step: string) => void steps.push(step);
  const remaining = new Map<ProxyMode, number>(proxyModes.map((mode) => [mode, left]));
  let refusals = failures;
  const openMode = async (mode: ProxyMode) =>
    ({
      cleanup: async () => {
        if (mode === 'userspace' && refusals-- > 0)
          throw new SignalboxError('KERNEL_REFUSED', { object: 'a table', problem: 'stays', remedy: 'be root' });
        const count = remaining.get(mode) ?? 0;
        remaining.set(mode, count - 1);
        return count > 0 ? ['rules'] : [];
      },
      close: () => {},
    }) as unknown as Backend;
  const stop = new AbortController();
  const log = {
    info: ({ of }: { of: string }) => note(`removed ${of}`),
    debug: () => note('failed'),
    warn: () => note('failed, again'),
  } as unknown as Logger;
  const all = new Takeover({
    mode: 'nftables',
    succession: succession?.(note) ?? noPredecessor,
    openMode,
    removeKubeProxyTables: async () => [],
    metrics: { cleanupFailed: (mode) => note(`counted ${mode}`) },
    log,
    signal: stop.signal,
    delay: 0,
    turn,
  });
  return { all, steps, note, stop };
}

const others = proxyModes.filter((mode) => mode !== 'nftables').map((mode) => `removed ${mode}`);

describe('Takeover', () => {
  it('removes what other modes left, with nobody to wait for', async () => {
    const { all, steps } = takeover({});
    await all.alone;
    await all.complete();
    expect(steps).toEqual(others);
  });

  it('removes before a predecessor ends, so that no rule leads to it, and what it repaired afterwards', async () => {
    const { all, steps, note } = takeover({
      left: 2,
      succession: (tell) => ({
        hasPredecessor: true,
        ready: async () => tell('predecessor ends'),
      }),
    });
    void all.alone.then(() => note('alone'));
    await all.complete();
    expect(steps.filter((step) => step !== 'alone')).toEqual([...others, 'predecessor ends', ...others]);
    expect(steps.indexOf('alone')).toBeGreaterThan(steps.indexOf('predecessor ends'));
  });

  it('lets the predecessor go even if what it left cannot be removed yet, and tries again until it can', async () => {
    const { all, steps } = takeover({
      failures: 2,
      succession: (tell) => ({ hasPredecessor: true, ready: async () => tell('predecessor ends') }),
    });
    await all.complete();
    const told = steps.filter((step) => !step.startsWith('removed'));
    expect(told).toEqual(['counted userspace', 'failed', 'predecessor ends', 'counted userspace', 'failed, again']);
    expect(steps).toContain('removed userspace');
  });

  it('waits for nothing any more when the proxy is to end', async () => {
    const { all, stop } = takeover({
      succession: () => ({ hasPredecessor: true, ready: () => new Promise(() => {}) }),
    });
    const completed = all.complete();
    stop.abort();
    await Promise.all([completed, all.alone]);
  });

  it('of a predecessor removes nothing while a successor is at work, whose rules would look like what was left', async () => {
    const turn = `signalbox-test-${randomUUID()}`;
    const predecessor = takeover({ turn });
    const successor = takeover({
      turn,
      succession: () => ({ hasPredecessor: true, ready: () => aborted(predecessor.stop.signal) }),
    });
    await successor.all.begin();
    const searching = predecessor.all.complete();
    const following = successor.all.complete();
    await expect.poll(() => successor.steps).toEqual(others);
    expect(predecessor.steps).toEqual([]);
    predecessor.stop.abort();
    await searching;
    await following;
    expect(predecessor.steps).toEqual([]);
  });
});
