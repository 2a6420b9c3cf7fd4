/** Transport protocols of a Service port, as the Kubernetes API spells them. */
export const protocols = ['TCP', 'UDP', 'SCTP'] as const;
export type Protocol = (typeof protocols)[number];

/** IANA protocol numbers, as in an IP header. */
export const protocolNumber: { readonly [P in Protocol]: number } = { TCP: 6, UDP: 17, SCTP: 132 };

/** Whether a value is a port a Service or container may have: an integer from 1 to 65535. */
export function isPort(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= 65535;
}

/** Reads the number of a port; nothing for what is none. */
export function tryParsePort(text: string): number | undefined {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return isPort(port) ? port : undefined;
}

/** Narrows the API's free string to a protocol. */
export function isProtocol(value: unknown): value is Protocol {
  return protocols.includes(value as Protocol);
}
