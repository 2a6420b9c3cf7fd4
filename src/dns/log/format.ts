import type { Incoming } from '../incoming.ts';
import { messageLimit } from '../wire/constants.ts';
import { className, rcodeName, typeName } from '../wire/mnemonics.ts';
import { formatName } from '../wire/name.ts';

/** A query that has been answered, for a line about it. */
export interface Answered {
  readonly incoming: Incoming;
  readonly reply: Buffer;
  readonly rcode: number;
  /** From the query's coming to its answer's going. */
  readonly seconds: number;
}

/** What a format may have in braces, under CoreDNS' names. */
const replacers: { readonly [name: string]: (answered: Answered) => string } = {
  type: ({ incoming }) => typeName(incoming.query.type),
  name: ({ incoming }) => formatName(incoming.query.name),
  class: ({ incoming }) => className(incoming.query.class),
  proto: ({ incoming }) => incoming.client.transport,
  remote: ({ incoming }) => remoteOf(incoming),
  port: ({ incoming }) => String(incoming.client.port),
  size: ({ incoming }) => String(incoming.packet.length),
  rcode: ({ rcode }) => rcodeName(rcode),
  rsize: ({ reply }) => String(reply.length),
  duration: ({ seconds }) => `${Number(seconds.toFixed(9))}s`,
  '>id': ({ incoming }) => String(incoming.query.id),
  '>opcode': ({ incoming }) => String((incoming.query.flags >> 11) & 0xf),
  '>do': ({ incoming }) => String(incoming.query.edns?.dnssecOk === true),
  '>bufsize': ({ incoming }) => String(bufferSize(incoming)),
  '>rflags': ({ reply }) => flagsOf(reply),
};

/** CoreDNS' own formats, which its users' log readers know. */
export const logFormats = {
  common: `{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration}`,
  combined: `{remote}:{port} - {>id} "{type} {class} {name} {proto} {size} {>do} {>bufsize}" {rcode} {>rflags} {rsize} {duration} {>opcode}`,
} as const;

/** The first thing in braces that is none of those known. */
export function unknownReplacer(format: string): string | undefined {
  for (const [whole, name = ''] of format.matchAll(/\{([^{}]*)\}/g)) if (!Object.hasOwn(replacers, name)) return whole;
  return undefined;
}

/** Makes a writer of lines out of a format, which has been checked. */
export function compileFormat(format: string): (answered: Answered) => string {
  const parts = format.split(/\{([^{}]*)\}/).map((part, i) => {
    const replace = i % 2 === 1 && Object.hasOwn(replacers, part) ? replacers[part] : undefined;
    return replace ?? (() => part);
  });
  return (answered) => parts.map((part) => part(answered)).join('');
}

/** In the order CoreDNS writes them. */
const flagNames: readonly (readonly [bit: number, name: string])[] = [
  [0x8000, 'qr'],
  [0x0400, 'aa'],
  [0x0200, 'tc'],
  [0x0100, 'rd'],
  [0x0080, 'ra'],
  [0x0040, 'z'],
  [0x0020, 'ad'],
  [0x0010, 'cd'],
];

function remoteOf({ client }: Incoming): string {
  const { address, family } = client;
  return family === 'IPv6' ? `[${address}]` : address;
}

/** The largest answer the client takes: anything over TCP. */
function bufferSize({ client, query }: Incoming): number {
  return client.transport === 'tcp' ? messageLimit : (query.edns?.udpSize ?? 512);
}

function flagsOf(reply: Buffer): string {
  const flags = reply.readUInt16BE(2);
  return flagNames
    .filter(([bit]) => (flags & bit) !== 0)
    .map(([, name]) => name)
    .join(',');
}
