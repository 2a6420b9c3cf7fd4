import { SignalboxError } from '../errors/error.ts';
import { type ProxyMode, proxyModes } from '../proxy/proxy-mode.ts';

/**
 * A value that must be one of some.
 * @param what as the user wrote what it is for: `--ip-family`
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function readChoice<const T extends string>(what: string, value: string, choices: readonly T[]): T {
  const choice = choices.find((each) => each === value);
  if (choice !== undefined) return choice;
  throw new SignalboxError('INVALID_CONFIG', {
    object: `${what} ${value}`,
    problem: 'is not supported',
    remedy: `choose from: ${choices.join(', ')}`,
  });
}

/** @throws SignalboxError `INVALID_CONFIG` */
export function readProxyMode(what: string, value: string): ProxyMode {
  return readChoice(what, value, proxyModes);
}
