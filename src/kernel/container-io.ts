import type { StdioOptions } from 'node:child_process';
import { closeSync, fchownSync } from 'node:fs';
import type { Readable, Writable } from 'node:stream';
import { openPipe, readPipe, writePipe } from './container-pipe.ts';
import { openTerminal, type TerminalSize } from './terminal.ts';

/** How one speaks with a program. */
export interface ContainerStreams {
  /** Whether it has input. Without, it reads the end of input at once. */
  readonly stdin: boolean;
  /** Whether it has a terminal, which is input, output and its controlling terminal in one. */
  readonly terminal: boolean;
  /** What its terminal has from the start: programs ask for it as soon as they run. */
  readonly size?: TerminalSize | undefined;
}

/** Output by pipes, and no input. */
export const silentInput: ContainerStreams = { stdin: false, terminal: false };

/** What a program is started with. */
export interface ProgramEnds {
  readonly stdio: StdioOptions;
  /** Words that run what follows them with its standard input as controlling terminal; none without a terminal. */
  readonly takeTerminal: readonly string[];
}

/** Both sides of a program's streams. */
export interface ContainerIo {
  readonly ends: ProgramEnds;
  readonly stdin: Writable | undefined;
  readonly stdout: Readable;
  readonly stderr: Readable | undefined;
  resize(size: TerminalSize): void;
  /** Closes the program's ends here: the program, once started, has its own. */
  closeEnds(): void;
}

const setsidPath = '/usr/bin/setsid';

/**
 * Opens the streams of a program that is about to be started.
 * @param uid whose the terminal is to be, where that is not the caller
 * @throws KernelError
 */
export function openContainerIo(streams: ContainerStreams, uid?: number): ContainerIo {
  return streams.terminal ? terminalIo(streams, uid) : pipeIo(streams.stdin);
}

function terminalIo({ stdin, size }: ContainerStreams, uid: number | undefined): ContainerIo {
  const { programEnd, output, input, resize } = openTerminal();
  if (uid !== undefined) fchownSync(programEnd, uid, -1);
  if (size !== undefined) resize(size);
  return {
    ends: { stdio: [programEnd, programEnd, programEnd], takeTerminal: [setsidPath, '--ctty', '--'] },
    stdin: stdin ? input : undefined,
    stdout: output,
    stderr: undefined,
    resize,
    closeEnds: () => closeSync(programEnd),
  };
}

function pipeIo(withInput: boolean): ContainerIo {
  const stdin = withInput ? openPipe() : undefined;
  const stdout = openPipe();
  const stderr = openPipe();
  const theirs = [...(stdin === undefined ? [] : [stdin.readEnd]), stdout.writeEnd, stderr.writeEnd];
  return {
    ends: { stdio: [stdin?.readEnd ?? 'ignore', stdout.writeEnd, stderr.writeEnd], takeTerminal: [] },
    stdin: stdin === undefined ? undefined : writePipe(stdin.writeEnd),
    stdout: readPipe(stdout.readEnd),
    stderr: readPipe(stderr.readEnd),
    resize: () => {},
    closeEnds: () => {
      for (const fd of theirs) closeSync(fd);
    },
  };
}
