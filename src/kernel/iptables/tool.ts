import { spawn } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, realpathSync } from 'node:fs';
import { basename } from 'node:path';
import { isSignalboxError, SignalboxError } from '../../errors/error.ts';
import type { IpFamily } from '../../net/ip.ts';
import type { ChainTexts } from '../../rules/iptables/diff.ts';
import { parseSaveLine } from '../../rules/iptables/parse.ts';
import { commandAtLine, printRestore } from '../../rules/iptables/print.ts';
import type { Restore, RuleText, TableName } from '../../rules/iptables/syntax.ts';
import { openNftables } from '../nftables/table.ts';
import { commandFolders, findCommand, requireCommand } from './command.ts';
import { type Iptables, type IptablesVariant, Refusal } from './interface.ts';

/** How the tool is found and used. */
export interface IptablesOptions {
  /** Absent: the one that Kubernetes' rules of this network namespace were made with, or else the machine's own choice. */
  readonly variant?: IptablesVariant;
  /** Seconds that the lock of xtables is waited for. */
  readonly lockWait?: number;
  /** Where the tool is looked for; absent: in the folders of PATH, and where commands of administrators are. */
  readonly folders?: readonly string[];
}

const defaultLockWait = 5;
/** The tool itself takes seconds at the most, for the largest input it is given. */
const timeoutMs = 120_000;
const words: { readonly [F in IpFamily]: string } = { IPv4: 'iptables', IPv6: 'ip6tables' };

/**
 * The machine's iptables, on the network namespace that this process is in.
 * @throws SignalboxError `IPTABLES_ABSENT`
 */
export async function openIptables(options: IptablesOptions = {}): Promise<Iptables> {
  const { folders = commandFolders(), lockWait = defaultLockWait } = options;
  const variant = options.variant ?? (await variantToUse(folders));
  return new IptablesTool({ variant, lockWait, folders });
}

class IptablesTool implements Iptables {
  readonly variant: IptablesVariant;
  readonly #wait: readonly string[];
  readonly #environment: NodeJS.ProcessEnv;
  readonly #closed = new AbortController();
  readonly #commands: (name: string) => string;

  constructor({ variant, lockWait, folders }: Required<IptablesOptions>) {
    this.variant = variant;
    this.#wait = ['-w', String(lockWait)];
    this.#environment = lockEnvironment(variant);
    this.#commands = commandsOf(variant, folders);
  }

  async list(family: IpFamily, table: TableName): Promise<ChainTexts> {
    const chains = new Map<string, RuleText[]>();
    if (!hasTable[this.variant](family, table)) return chains;
    const { status, errors } = await this.#run(`${words[family]}-save`, ['-t', table], {
      onLine: (line) => {
        if (line.includes("' is incompatible")) throw unlistable(family, table);
        const said = parseSaveLine(line);
        if (said?.kind === 'chain') chains.set(said.name, []);
        else if (said?.kind === 'rule') chains.get(said.chain)?.push(said.rule);
      },
    });
    if (status !== 0 && !noTable.test(errors)) throw failed(`${words[family]}-save`, status, errors);
    return chains;
  }

  async has(family: IpFamily, table: TableName, chain: string): Promise<boolean> {
    if (!hasTable[this.variant](family, table)) return false;
    const { status, errors } = await this.#run(words[family], [...this.#wait, '-t', table, '-S', chain], {});
    if (status > 1 && !noTable.test(errors)) throw failed(words[family], status, errors);
    return status === 0;
  }

  async restore(family: IpFamily, input: Restore): Promise<void> {
    const name = `${words[family]}-restore`;
    const { status, errors } = await this.#run(name, ['--noflush', ...this.#wait], { input: printRestore(input) });
    if (status === 0) return;
    throw failed(name, status, errors, input);
  }

  close(): void {
    this.#closed.abort();
  }

  #run(name: string, args: readonly string[], io: ToolIo): Promise<ToolResult> {
    return runTool(this.#commands(name), args, { ...io, env: this.#environment, signal: this.#closed.signal });
  }
}

/** The nft variant lists nothing of a table in which somebody has rules that are no rules of iptables. */
function unlistable(family: IpFamily, table: TableName): SignalboxError {
  return new SignalboxError('IPTABLES_FAILED', {
    object: `table ${table} of ${words[family]}`,
    problem: 'has rules in it that were made by nft and that iptables cannot list',
    remedy: `move them to a table of their own: see “nft list table ${family === 'IPv4' ? 'ip' : 'ip6'} ${table}”`,
  });
}

/** Said where the kernel has no such table, or nothing of the family at all. */
const noTable = /does not exist|not supported/i;

interface ToolIo {
  readonly input?: string;
  readonly onLine?: (line: string) => void;
  readonly env?: NodeJS.ProcessEnv;
  /** Ends it early. */
  readonly signal?: AbortSignal;
}

interface ToolResult {
  readonly status: number;
  /** What it wrote to standard error, without what comes after the first few thousand characters. */
  readonly errors: string;
}

const errorsKept = 4096;

/** Runs a command to its end, without a shell; lines of its output are handed over as they come. */
function runTool(file: string, args: readonly string[], { input, onLine, env, signal }: ToolIo): Promise<ToolResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, LC_ALL: 'C', ...env },
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      ...(signal && { signal }),
    });
    let errors = '';
    let rest = '';
    let thrown: unknown;
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      if (errors.length < errorsKept) errors += text;
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      try {
        if (thrown === undefined) for (const line of lines) onLine?.(line);
      } catch (error) {
        thrown = error;
      }
    });
    // It may end before it has read all: what it says then is the reason.
    child.stdin.on('error', () => {});
    child.stdin.end(input ?? '');
    child.on('error', (error) => reject(notRun(file, error)));
    child.on('close', (code, killed) => {
      if (thrown !== undefined) reject(thrown);
      else if (code === null) reject(notRun(file, new Error(`ended by ${killed}`)));
      else resolve({ status: code, errors });
    });
  });
}

function notRun(file: string, cause: Error): SignalboxError {
  return new SignalboxError('IPTABLES_FAILED', {
    object: file,
    problem: `could not be run to its end (${cause.message})`,
    remedy: 'run it by hand to see why',
    cause,
  });
}

function failed(name: string, status: number, errors: string, input: Restore = []): SignalboxError {
  const said = errors.trim().replace(/\s*\n\s*/g, '; ') || `exit status ${status}`;
  if (/xtables lock/.test(errors)) {
    return new SignalboxError('IPTABLES_LOCKED', {
      object: name,
      problem: 'did not get the lock of xtables, which another program holds',
      remedy: 'wait, or see with “fuser -v /run/xtables.lock” who holds it',
      cause: new Error(said),
    });
  }
  const line = /\bline:? (\d+)/.exec(errors)?.[1];
  const at = line === undefined ? undefined : commandAtLine(input, Number(line));
  // What concerns the whole is not the fault of one line.
  const ofWhole = /permission denied|initialize|memory|incompatible/i.test(errors);
  return new SignalboxError('IPTABLES_FAILED', {
    object: name,
    problem: `failed (${said})`,
    remedy: /permission denied/i.test(errors)
      ? 'run as root with CAP_NET_ADMIN, and CAP_NET_RAW where iptables is the legacy one, or within a user and network namespace of your own'
      : 'see whether the kernel has what the rules ask for',
    cause: ofWhole || input.length === 0 ? new Error(said) : new Refusal(said, at),
  });
}

/** The path of a command such as `iptables-restore` in one variant, or of the plain one if that is all there is. */
function commandsOf(variant: IptablesVariant, folders: readonly string[]): (name: string) => string {
  return (name) => {
    const [tool = name, ...rest] = name.split('-');
    return findCommand([tool, variant, ...rest].join('-'), folders) ?? requireCommand(name, folders);
  };
}

/** The variant that rules of Kubernetes are in already, or the one that the machine means by `iptables`. */
async function variantToUse(folders: readonly string[]): Promise<IptablesVariant> {
  const plain = requireCommand('iptables', folders);
  const [inUse] = await variantsInUse(folders);
  if (inUse !== undefined) return inUse;
  // Both are names of one program, which most machines call by its variant: that spares a process.
  const program = /-(nft|legacy)-/.exec(basename(realpathSync(plain)))?.[1];
  if (program === 'nft' || program === 'legacy') return program;
  let version = '';
  await runTool(plain, ['--version'], {
    onLine: (line) => {
      version += line;
    },
  });
  // Before 1.8 there was no other, and none had a word for it.
  return version.includes('nf_tables') ? 'nft' : 'legacy';
}

/** Chains by which kubelet and proxies show which variant they use. */
const hints = /^KUBE-(?:IPTABLES-HINT|KUBELET-CANARY|PROXY-CANARY)$/;

/** The variants that chains of Kubernetes in this network namespace were made with. */
export async function variantsInUse(folders: readonly string[] = commandFolders()): Promise<IptablesVariant[]> {
  const found: IptablesVariant[] = [];
  for (const variant of ['legacy', 'nft'] as const) {
    if (findCommand(`iptables-${variant}`, folders) === undefined) continue;
    const tool = new IptablesTool({ variant, lockWait: defaultLockWait, folders });
    const chains: string[] = [];
    for (const family of ['IPv4', 'IPv6'] as const) chains.push(...(await tool.list(family, 'mangle')).keys());
    tool.close();
    if (chains.some((chain) => hints.test(chain))) found.push(variant);
  }
  return found;
}

/**
 * Whether a table is in this network namespace. The legacy tool would make one it is asked about; and where there is
 * none, a process is spared.
 */
const hasTable: { readonly [V in IptablesVariant]: (family: IpFamily, table: TableName) => boolean } = {
  legacy: (family, table) => {
    try {
      const names = readFileSync(`/proc/net/${family === 'IPv4' ? 'ip' : 'ip6'}_tables_names`, 'utf8');
      return names.split('\n').includes(table);
    } catch (error) {
      // It is not there as long as nobody has used the variant since the machine was started.
      return (error as NodeJS.ErrnoException).code !== 'ENOENT';
    }
  },
  nft: (family, table) => {
    try {
      const tables = openNftables(table);
      try {
        return tables.has(family);
      } finally {
        tables.close();
      }
    } catch (error) {
      if (isSignalboxError(error, 'KERNEL_LACKS_NFTABLES')) return false;
      throw error;
    }
  },
};

const systemLock = '/run/xtables.lock';

/**
 * The legacy variant locks a file that belongs to root. Within a user namespace, where that cannot be had, the network
 * namespace itself is a file that everybody in there can lock.
 */
function lockEnvironment(variant: IptablesVariant): NodeJS.ProcessEnv {
  if (variant === 'nft' || process.env.XTABLES_LOCKFILE !== undefined || canLock(systemLock)) return {};
  return { XTABLES_LOCKFILE: '/proc/self/ns/net' };
}

function canLock(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_RDONLY | constants.O_CREAT, 0o600));
    return true;
  } catch {
    return false;
  }
}
