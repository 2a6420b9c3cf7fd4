import { createLogger } from '../component/log.ts';
import { openForCleanup, removeLeftovers } from '../proxy/leftovers.ts';
import { exitStatus } from './report.ts';

/** Removes what proxies left in this network namespace, for which no API is needed, and says what it was. */
export async function cleanUpProxy(): Promise<void> {
  const found = await removeLeftovers(openForCleanup(createLogger('proxy')));
  for (const { mode, removed } of found) for (const what of removed) console.log(`${mode}: removed ${what}`);
  if (found.length === 0) console.log('There was nothing to remove.');
  for (const { mode, error } of found) {
    if (error === undefined) continue;
    console.error(`signalbox: ${mode}: ${error instanceof Error ? error.message : String(error)}`);
    process.exitCode = exitStatus.failed;
  }
}
