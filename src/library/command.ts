import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import type { ApiClient } from '../client/types.ts';
import { enterCommand, locate, parseTarget } from '../cluster/enter.ts';
import type { ClusterPaths, ClusterRecord } from '../cluster/state.ts';
import { SignalboxError } from '../errors/error.ts';

/** What a command printed, as UTF-8, and how it ended. */
export interface CommandResult {
  /** 128 and the signal's number if a signal ended it, as shells have it. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  /** Standard input; empty by default. */
  readonly input?: string;
  /** Default 30,000 milliseconds; then it is killed. */
  readonly timeoutMs?: number;
}

/** A command and where it is to run. */
export interface PlacedCommand {
  readonly target: string;
  readonly command: readonly string[];
  readonly client: ApiClient;
  readonly paths: ClusterPaths;
  readonly record: ClusterRecord;
}

/** What is kept of each stream of output, characters; more is an error, as tests would hardly look at it. */
const maxOutput = 16 << 20;

/**
 * Runs a command to its end.
 * @throws SignalboxError `TARGET_NOT_FOUND`, `COMMAND_TIMED_OUT`, `OUTPUT_TOO_LARGE`
 */
export async function runCommand(placed: PlacedCommand, options: CommandOptions): Promise<CommandResult> {
  const { client, command, paths, record } = placed;
  const target = parseTarget(placed.target);
  if (target === undefined) throw notATarget(placed.target);
  const [program = '', ...args] = [...enterCommand(paths, record, await locate(client, target)), ...command];
  const timeoutMs = options.timeoutMs ?? 30_000;
  const child = spawn(program, args, { stdio: 'pipe' });
  const words = command.join(' ');
  return new Promise((resolve, reject) => {
    const fail = (error: Error) => {
      clearTimeout(timer);
      child.kill('SIGKILL');
      reject(error);
    };
    const timer = setTimeout(() => fail(tooLate(words, timeoutMs)), timeoutMs);
    const output = { stdout: '', stderr: '' };
    for (const stream of ['stdout', 'stderr'] as const) {
      child[stream].setEncoding('utf8').on('data', (text: string) => {
        output[stream] += text;
        if (output[stream].length > maxOutput) fail(tooLarge(words));
      });
    }
    child.once('error', fail);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ status: code ?? 128 + (signal === null ? 0 : constants.signals[signal]), ...output });
    });
    // A command that does not read its input ends before it is written.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}

function notATarget(target: string): SignalboxError {
  return new SignalboxError('TARGET_NOT_FOUND', {
    object: target,
    problem: 'is no target',
    remedy: 'give pod/NAME[.NAMESPACE], node/NAME or client',
  });
}

function tooLate(command: string, timeoutMs: number): SignalboxError {
  return new SignalboxError('COMMAND_TIMED_OUT', {
    object: command,
    problem: `did not end within ${timeoutMs / 1000} s and was killed`,
    remedy: 'give it a larger timeoutMs, or a time limit of its own',
  });
}

function tooLarge(command: string): SignalboxError {
  return new SignalboxError('OUTPUT_TOO_LARGE', {
    object: command,
    problem: `printed more than ${maxOutput >> 20} MiB and was killed`,
    remedy: 'let it write to a file instead',
  });
}
