import { type Ip, tryParseIp } from './ip.ts';

/** The three kinds of lines of a resolv.conf: resolv.conf(5). */
export interface ResolvConf {
  readonly nameservers: readonly string[];
  readonly searches: readonly string[];
  /** `name`, or `name:value`. */
  readonly options: readonly string[];
}

/** Reads the text of a resolv.conf; the last of several `search` or `options` lines counts, as for the C library. */
export function parseResolvConf(text: string): ResolvConf {
  const nameservers: string[] = [];
  let searches: string[] = [];
  let options: string[] = [];
  for (const line of text.split('\n')) {
    const [keyword, ...values] = line
      .replace(/[#;].*/, '')
      .trim()
      .split(/\s+/);
    if (keyword === 'nameserver' && values[0] !== undefined) nameservers.push(values[0]);
    if (keyword === 'search' || keyword === 'domain') searches = values.filter((domain) => domain !== '.');
    if (keyword === 'options') options = values;
  }
  return { nameservers, searches, options };
}

/** The name servers that can be asked, in their order: what is no address, or one with a zone, is passed over. */
export function resolverAddresses({ nameservers }: ResolvConf): Ip[] {
  return nameservers.map(tryParseIp).filter((ip) => ip !== undefined);
}

/** The inverse of `parseResolvConf`. */
export function formatResolvConf({ nameservers, searches, options }: ResolvConf): string {
  const lines = [];
  if (searches.length > 0) lines.push(`search ${searches.join(' ')}`);
  for (const server of nameservers) lines.push(`nameserver ${server}`);
  if (options.length > 0) lines.push(`options ${options.join(' ')}`);
  return lines.map((line) => `${line}\n`).join('');
}
