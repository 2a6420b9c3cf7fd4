import { describe, expect, it } from 'vitest';
import { SignalboxError } from '../errors/error.ts';
import type { Backend } from './backend.ts';
import { removeLeftovers } from './leftovers.ts';
import { type ProxyMode, proxyModes } from './proxy-mode.ts';

/** Every mode with what it finds to remove; who was opened, with which mode in use, and whether that was closed. */
function modes(cleanup: (mode: ProxyMode) => readonly string[]) {
  const closed: ProxyMode[] = [];
  const asked: (readonly [ProxyMode, ProxyMode | undefined])[] = [];
  const open = async (mode: ProxyMode) => {
    const backend: Pick<Backend, 'cleanup' | 'close'> = {
      cleanup: async (current) => {
        asked.push([mode, current]);
        return cleanup(mode);
      },
      close: () => closed.push(mode),
    };
    return backend as Backend;
  };
  return { open, asked, closed };
}

describe('removeLeftovers', () => {
  it('removes what every mode has, and says what of which', async () => {
    const { open, closed } = modes((mode) => [`rules of ${mode}`]);
    expect(await removeLeftovers(open)).toEqual(proxyModes.map((mode) => ({ mode, removed: [`rules of ${mode}`] })));
    expect(closed).toEqual(proxyModes);
  });

  it.each(proxyModes)('leaves %s alone when it is in use, and tells the others so', async (current) => {
    const { open, asked } = modes(() => []);
    expect(await removeLeftovers(open, current)).toEqual([]);
    expect(asked).toEqual(proxyModes.filter((mode) => mode !== current).map((mode) => [mode, current]));
  });

  it('goes on after a failure and gives it, with the backend closed', async () => {
    const error = new SignalboxError('KERNEL_REFUSED', { object: 'a table', problem: 'stays', remedy: 'be root' });
    const { open, closed } = modes(() => {
      throw error;
    });
    expect(await removeLeftovers(open)).toEqual(proxyModes.map((mode) => ({ mode, removed: [], error })));
    expect(closed).toEqual(proxyModes);
  });

  it('takes a mode that the kernel lacks for one that left nothing', async () => {
    const lacking = new SignalboxError('KERNEL_LACKS_FEATURE', {
      object: 'ipvs',
      problem: 'is not there',
      remedy: '-',
    });
    const found = await removeLeftovers(async () => {
      throw lacking;
    });
    expect(found).toEqual([]);
  });
});
