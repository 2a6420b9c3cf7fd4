import { type ErrorCode, type ErrorKind, errorRegistry } from './registry.ts';

/** What went wrong, in parts, so that every message has them all. */
export interface ErrorDetails {
  /** The thing concerned, by the name its user gave it. */
  readonly object: string;
  /** What is wrong with it; reads on after the object's name. */
  readonly problem: string;
  /** What the user can do now. */
  readonly remedy: string;
  readonly cause?: unknown;
}

/**
 * An error that reaches a user: a stable code of the registry, the object, what is wrong and what to do.
 * `message` is one line: `OBJECT PROBLEM: REMEDY [CODE]`.
 */
export class SignalboxError extends Error {
  readonly code: ErrorCode;
  readonly object: string;
  readonly problem: string;
  readonly remedy: string;

  constructor(code: ErrorCode, details: ErrorDetails) {
    super(`${details.object} ${details.problem}: ${details.remedy} [${code}]`, { cause: details.cause });
    this.name = 'SignalboxError';
    this.code = code;
    this.object = details.object;
    this.problem = details.problem;
    this.remedy = details.remedy;
  }

  /** The registry's class of this error: whose turn it is. */
  get kind(): ErrorKind {
    return errorRegistry[this.code].kind;
  }
}

/** Whether an unknown thrown value is a `SignalboxError`, of a given code if one is named. */
export function isSignalboxError(error: unknown, code?: ErrorCode): error is SignalboxError {
  return error instanceof SignalboxError && (code === undefined || error.code === code);
}
