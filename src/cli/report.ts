import { ApiError } from '../client/types.ts';
import { isSignalboxError } from '../errors/error.ts';

/** Exit statuses of the command line. */
export const exitStatus = { done: 0, failed: 1, wrongUsage: 2 } as const;

/**
 * Says on standard error, in one line with an error code, why the command failed, and sets the exit status.
 * A stack is shown only for what is a mistake of ours, or with SIGNALBOX_DEBUG set.
 */
export function reportFailure(error: unknown): void {
  process.exitCode = exitStatus.failed;
  if (isSignalboxError(error)) console.error(`signalbox: ${error.message}`);
  else if (error instanceof ApiError) console.error(`signalbox: ${error.message} [API_${screaming(error.reason)}]`);
  else console.error(`signalbox: ${error instanceof Error ? error.message : String(error)} [UNEXPECTED]`);
  const ours = !isSignalboxError(error) && !(error instanceof ApiError);
  if ((ours || process.env.SIGNALBOX_DEBUG !== undefined) && error instanceof Error) console.error(error.stack);
}

function screaming(reason: string): string {
  return reason === '' ? 'ERROR' : reason.replace(/(?<=[a-z])(?=[A-Z])/g, '_').toUpperCase();
}
