import { readFile, stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import type { Logger } from '../../component/log.ts';
import type { HostsSettings } from '../config/types.ts';
import type { HostsMetrics } from './hosts-metrics.ts';
import { type HostsTable, parseHosts, readHosts } from './hosts-table.ts';

/** What the names of a hosts file are kept with. */
export interface HostsFileOptions {
  readonly settings: HostsSettings;
  readonly log: Logger;
  readonly metrics: HostsMetrics;
}

/** Octets of a file; a larger one is a mistake, and not read. */
const maxFileBytes = 64 << 20;

/**
 * The names of a file and of the configuration's own lines. The file is read again when it has changed; while it cannot
 * be read, what was read last holds, and where nothing was, the lines alone.
 */
export class HostsFile {
  readonly #options: HostsFileOptions;
  #table: HostsTable;
  #seen = '';
  #isClosed = false;
  #timer: NodeJS.Timeout | undefined;

  private constructor(options: HostsFileOptions) {
    this.#options = options;
    this.#table = parseHosts(options.settings.inline, options.settings.zones);
  }

  /** Resolves when the file has been read, or could not be. */
  static async open(options: HostsFileOptions): Promise<HostsFile> {
    const hosts = new HostsFile(options);
    options.metrics.addEntries(sizeOf(hosts.#table));
    await hosts.#look();
    return hosts;
  }

  get table(): HostsTable {
    return this.#table;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearTimeout(this.#timer);
    this.#options.metrics.addEntries(-sizeOf(this.#table));
  }

  async #look(): Promise<void> {
    const { settings, log } = this.#options;
    if (settings.file === undefined) return;
    try {
      await this.#read(settings.file);
    } catch (err) {
      // Told once, not at every look.
      if (this.#seen !== 'unreadable') log.warn({ file: settings.file, err }, 'the hosts file cannot be read');
      this.#seen = 'unreadable';
    }
    if (settings.reloadMs > 0 && !this.#isClosed)
      this.#timer = setTimeout(() => void this.#look(), settings.reloadMs).unref();
  }

  async #read(path: string): Promise<void> {
    const { metrics, log } = this.#options;
    const found = await stat(path);
    // Reading from a pipe would wait for ever.
    if (!found.isFile()) throw new Error('it is not a file');
    const { mtimeMs, ctimeMs, ino, size } = found;
    const seen = [mtimeMs, ctimeMs, ino, size].join(' ');
    if (seen === this.#seen) return;
    if (size > maxFileBytes) throw new Error(`it has ${size} octets, more than ${maxFileBytes}`);
    const table = await this.#parse((await readFile(path, 'latin1')).split('\n'));
    this.#seen = seen;
    if (this.#isClosed) return;
    metrics.addEntries(sizeOf(table) - sizeOf(this.#table));
    metrics.noteReload(mtimeMs / 1000);
    this.#table = table;
    log.info({ file: path, names: table.addresses.size }, 'hosts file read');
  }

  /** Queries are answered meanwhile. */
  async #parse(lines: readonly string[]): Promise<HostsTable> {
    const { inline, zones } = this.#options.settings;
    const reading = readHosts([...inline, ...lines], zones);
    for (;;) {
      const { done, value } = reading.next();
      if (done === true) return value;
      await setImmediate();
    }
  }
}

function sizeOf({ addresses, names }: HostsTable): number {
  return addresses.size + names.size;
}
