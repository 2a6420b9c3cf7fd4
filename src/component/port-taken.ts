import { SignalboxError } from '../errors/error.ts';

/** What a refused `bind` means to whoever chose the address. */
export function portTaken(address: string, cause: unknown): SignalboxError {
  return new SignalboxError('PORT_TAKEN', {
    object: address,
    problem: `cannot be listened on (${cause instanceof Error ? cause.message : String(cause)})`,
    remedy: remedies[(cause as NodeJS.ErrnoException | undefined)?.code ?? ''] ?? remedies.EADDRINUSE,
    cause,
  });
}

const remedies: { readonly EADDRINUSE: string; readonly [code: string]: string } = {
  EADDRINUSE: 'end who listens there, or choose another address or port in the configuration',
  EADDRNOTAVAIL: 'choose an address in the configuration that this machine has',
  EACCES: 'choose a port from 1024 on in the configuration, or run it as root or with CAP_NET_BIND_SERVICE',
};
