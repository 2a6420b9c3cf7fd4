import { openNodeLocalNetwork } from '../node-local/network.ts';

/** Removes what node-local DNS left in this network namespace, for which no API is needed, and says what it was. */
export function cleanUpNodeLocal(): void {
  const network = openNodeLocalNetwork();
  try {
    const removed = [...network.removeRules(), ...network.removeDevice()];
    for (const what of removed) console.log(`removed ${what}`);
    if (removed.length === 0) console.log('There was nothing to remove.');
  } finally {
    network.close();
  }
}
