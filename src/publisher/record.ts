import { readFileSync } from 'node:fs';
import { replaceFile } from '../component/replace-file.ts';
import { type Ip, tryParseIp } from '../net/ip.ts';
import type { RelayTarget } from '../relay/relay.ts';
import { addressText } from './choices.ts';
import type { Publication, Way } from './publications.ts';

/** One way from the host to a Service port, as it is now. */
export interface PublishedPort {
  readonly key: string;
  /** `namespace/name` */
  readonly service: string;
  readonly portName: string;
  readonly port: number;
  readonly protocols: readonly string[];
  readonly way: Way;
  /** Of one that is reached by a node port. */
  readonly nodePort?: number;
  /** `127.0.0.1:30080`; absent while there is none. */
  readonly address?: string;
  readonly url?: string;
  /** The address that it would have if it was not taken. */
  readonly insteadOf?: string;
  /** Why there is no address. */
  readonly problem?: string;
}

/** What is published, and what was chosen for it, which outlives a cluster that is stopped. */
export interface PublishedRecord {
  /** Addresses by the key of the publication. */
  readonly choices: { readonly [key: string]: string };
  readonly ports: readonly PublishedPort[];
}

const nothing: PublishedRecord = { choices: {}, ports: [] };

/** The record at a path; one of nothing when there is none that can be read: then choices are made anew. */
export function readPublished(path: string): PublishedRecord {
  try {
    const { choices, ports } = JSON.parse(readFileSync(path, 'utf8'));
    return typeof choices === 'object' && choices !== null && Array.isArray(ports) ? { choices, ports } : nothing;
  } catch {
    return nothing;
  }
}

/** Replaces the record in one step, readable by its owner only. */
export function writePublished(path: string, record: PublishedRecord): void {
  replaceFile(path, `${JSON.stringify(record, null, 2)}\n`);
}

/** Says that nothing is published (yet), and keeps what was chosen. */
export function closePublished(path: string): void {
  writePublished(path, { ...readPublished(path), ports: [] });
}

/** The addresses of choices; what is no address is left out. */
export function readChoices({ choices }: PublishedRecord): Map<string, RelayTarget> {
  const read = new Map<string, RelayTarget>();
  for (const [key, text] of Object.entries(choices)) {
    const [, ip = '', port = ''] = /^(127\.[\d.]+):(\d{1,5})$/.exec(text) ?? [];
    const address: Ip | undefined = tryParseIp(ip);
    if (address !== undefined) read.set(key, { ip: address, port: Number(port) });
  }
  return read;
}

/** `http://127.0.0.1:30080`; a port that is the scheme's own is left out. */
export function urlOf({ scheme }: Pick<Publication, 'scheme'>, address: RelayTarget): string {
  const isDefault = (scheme === 'http' && address.port === 80) || (scheme === 'https' && address.port === 443);
  return `${scheme}://${isDefault ? address.ip : addressText(address)}`;
}
