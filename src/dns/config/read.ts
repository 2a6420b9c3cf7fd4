import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseConfigText } from '../../component/config-file.ts';
import { SignalboxError } from '../../errors/error.ts';
import { parseCorefileConfig } from './corefile/config.ts';
import { parseDnsConfig } from './fields.ts';
import type { DnsConfig } from './types.ts';

/** A configuration, and a mark that differs when any file it was read from does. */
export interface ReadConfig {
  readonly config: DnsConfig;
  readonly digest: string;
}

/**
 * Reads a configuration file: the fields of `parseDnsConfig` as JSON or YAML, or a Corefile. It is a Corefile when it
 * is called so (`Corefile`, `Corefile.local`, `site.corefile`), when `corefile:` stands before its path, or when it
 * begins as one: with a line that ends in an open brace, a snippet or an import.
 * @throws SignalboxError `INVALID_CONFIG`, which says where
 */
export async function readDnsConfig(path: string): Promise<ReadConfig> {
  const marked = path.startsWith(corefileMark);
  const file = marked ? path.slice(corefileMark.length) : path;
  const hash = createHash('sha512');
  const read = (name: string) => {
    const text = readFileSync(name, 'utf8');
    hash.update(`${name}\0${text}\0`);
    return text;
  };
  const text = readOrRefuse(file, read);
  const config =
    marked || isCorefile(file, text)
      ? parseCorefileConfig(text, file, { readFile: read, listFolder: readdirSync, environment: process.env })
      : parseDnsConfig(await parseConfigText(text, { file, remedy }));
  return { config, digest: hash.digest('hex') };
}

const corefileMark = 'corefile:';
const remedy = 'give a file of JSON or YAML, or a Corefile';

function isCorefile(file: string, text: string): boolean {
  if (/^corefile(\.|$)|\.corefile$/i.test(basename(file))) return true;
  const [first = ''] = text
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
  // `name: {` begins a map of YAML, and `{` one of JSON.
  return /^import\s|^\(.*\)\s*\{$/.test(first) || (/^[^{].*\s\{$/.test(first) && !/:\s/.test(first));
}

function readOrRefuse(file: string, read: (name: string) => string): string {
  try {
    return read(file);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new SignalboxError('INVALID_CONFIG', {
      object: file,
      problem: `cannot be read (${code ?? 'unknown'})`,
      remedy,
      cause,
    });
  }
}
