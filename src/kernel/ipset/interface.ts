import type { SignalboxError } from '../../errors/error.ts';
import type { IpSet, SetCommand } from '../../rules/ipset/syntax.ts';

/** A command that the kernel did not carry out. */
export interface RefusedSetCommand {
  readonly command: SetCommand;
  readonly error: SignalboxError;
}

/** The sets of one network namespace. The real kernel and the fake both are one. */
export interface IpsetKernel {
  /** The names of all sets there are. */
  names(): string[];
  /** A set with what is in it; `undefined` if there is none of the name, or it is of a type that is not used here. */
  load(name: string): IpSet | undefined;
  /**
   * Carries commands out, each for itself and in order. To create what is there with the same type and family, to add
   * an entry that is there, to delete one or destroy a set that is not, is no failure; adding gives an entry its mark
   * anew.
   * @returns those that the kernel refused; the others are done
   */
  apply(commands: readonly SetCommand[]): RefusedSetCommand[];
  close(): void;
}
