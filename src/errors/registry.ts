/** Whose turn it is: the caller's input, the machine, a state in the way, a wait, or a bug of ours. */
export type ErrorKind = 'input' | 'environment' | 'conflict' | 'unavailable' | 'internal';

/** What a code means in general. The occasion's own words come with each error. Documented in docs/errors.md. */
export interface ErrorEntry {
  readonly kind: ErrorKind;
  readonly summary: string;
}

const registry = {
  INVALID_ADDRESS: { kind: 'input', summary: 'A text is not an IP address.' },
  INVALID_CIDR: { kind: 'input', summary: 'A text is not a block of IP addresses.' },
  ADDRESS_OUT_OF_RANGE: { kind: 'input', summary: 'A block of addresses is too small for what is asked of it.' },
  INVALID_CONFIG: { kind: 'input', summary: 'A configuration file or value is not as documented.' },
} as const satisfies { readonly [code: string]: ErrorEntry };

export type ErrorCode = keyof typeof registry;
export const errorRegistry: { readonly [C in ErrorCode]: ErrorEntry } = registry;
