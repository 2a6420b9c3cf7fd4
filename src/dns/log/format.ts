import type { Exchange } from '../exchange.ts';
import { messageLimit } from '../wire/constants.ts';
import { className, rcodeName, typeName } from '../wire/mnemonics.ts';
import { formatName } from '../wire/name.ts';

/** A query that has been answered, for a line about it. */
export interface Answered {
  readonly exchange: Exchange;
  readonly reply: Buffer;
  readonly rcode: number;
  /** From the query's coming to its answer's going. */
  readonly seconds: number;
}

/** What a format may have in braces, under CoreDNS' names. */
const replacers: { readonly [name: string]: (answered: Answered) => string } = {
  type: ({ exchange }) => typeName(exchange.query.type),
  name: ({ exchange }) => formatName(exchange.query.name),
  class: ({ exchange }) => className(exchange.query.class),
  proto: ({ exchange }) => exchange.incoming.client.transport,
  remote: ({ exchange }) => remoteOf(exchange),
  port: ({ exchange }) => String(exchange.incoming.client.port),
  size: ({ exchange }) => String(exchange.incoming.packet.length),
  rcode: ({ rcode }) => rcodeName(rcode),
  rsize: ({ reply }) => String(reply.length),
  duration: ({ seconds }) => `${Number(seconds.toFixed(9))}s`,
  '>id': ({ exchange }) => String(exchange.query.id),
  '>opcode': ({ exchange }) => String((exchange.query.flags >> 11) & 0xf),
  '>do': ({ exchange }) => String(exchange.query.edns?.dnssecOk === true),
  '>bufsize': ({ exchange }) => String(bufferSize(exchange)),
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

function remoteOf({ incoming }: Exchange): string {
  const { address, family } = incoming.client;
  return family === 'IPv6' ? `[${address}]` : address;
}

/** The largest answer the client takes: anything over TCP. */
function bufferSize({ incoming, query }: Exchange): number {
  return incoming.client.transport === 'tcp' ? messageLimit : (query.edns?.udpSize ?? 512);
}

function flagsOf(reply: Buffer): string {
  const flags = reply.readUInt16BE(2);
  return flagNames
    .filter(([bit]) => (flags & bit) !== 0)
    .map(([, name]) => name)
    .join(',');
}
