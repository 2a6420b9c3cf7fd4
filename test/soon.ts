import { vi } from 'vitest';

/** Waits until what is expected holds: mostly it does in a moment, on a busy machine it may take some seconds. */
export function soon<T>(expected: () => T | Promise<T>): Promise<T> {
  return vi.waitFor(expected, { timeout: 20_000 });
}
