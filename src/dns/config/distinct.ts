import { SignalboxError } from '../../errors/error.ts';
import { serverLabel } from '../server/label.ts';
import { formatName } from '../wire/name.ts';
import type { ServerBlock } from './types.ts';

/**
 * Sees that no zone is in two blocks of one listening address: who is to answer would be anybody's guess.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function requireDistinctZones(servers: readonly ServerBlock[]): void {
  const seen = new Set<string>();
  for (const { zones, listen } of servers) {
    for (const address of listen) {
      for (const zone of zones) {
        const place = `${formatName(zone)} at ${serverLabel(address)}`;
        if (address.port !== 0 && seen.has(place)) {
          throw new SignalboxError('INVALID_CONFIG', {
            object: place,
            problem: 'is served by two server blocks',
            remedy: 'take the zone out of one of them, or give it another port or address',
          });
        }
        seen.add(place);
      }
    }
  }
}
