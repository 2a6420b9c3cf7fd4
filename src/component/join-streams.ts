import type { Duplex } from 'node:stream';
import { finished } from 'node:stream';

/**
 * Connects two streams byte for byte, both ways and with back-pressure. The end of one direction is passed on while the
 * other goes on, if the streams allow that; what was said before the end still arrives. Both are destroyed when one
 * breaks off, when one is closed and the other has taken all, or when nothing moves on either for `idleMs` milliseconds.
 */
export function joinStreams(one: Duplex, other: Duplex, idleMs: number): void {
  const idle = setTimeout(() => {
    one.destroy();
    other.destroy();
  }, idleMs);
  for (const [from, to] of [
    [one, other],
    [other, one],
  ] as const) {
    from.on('data', () => idle.refresh());
    from.pipe(to);
    from.on('error', () => to.destroy());
    from.once('close', () => {
      clearTimeout(idle);
      if (from.readableEnded) finished(to, { readable: false }, () => to.destroy());
      else to.destroy();
    });
  }
}
