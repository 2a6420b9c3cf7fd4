import { SignalboxError } from '../errors/error.ts';

/** What a refused `bind` means to whoever chose the address. */
export function portTaken(address: string, cause: unknown): SignalboxError {
  return new SignalboxError('PORT_TAKEN', {
    object: address,
    problem: `cannot be listened on (${cause instanceof Error ? cause.message : String(cause)})`,
    remedy: 'end who listens there, or choose another address or port in the configuration',
    cause,
  });
}
