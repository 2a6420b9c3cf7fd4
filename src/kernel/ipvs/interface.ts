import type { SignalboxError } from '../../errors/error.ts';
import type { IpvsCommand, VirtualAddress, VirtualServer } from '../../rules/ipvs/syntax.ts';

/** A command that the kernel did not carry out. */
export interface RefusedIpvsCommand {
  readonly command: IpvsCommand;
  readonly error: SignalboxError;
}

/** Seconds after which idle connections are forgotten; what is left out stays as it is. */
export interface IpvsTimeouts {
  readonly tcp?: number;
  readonly tcpFin?: number;
  readonly udp?: number;
}

/** IPVS's table of one network namespace. The real kernel and the fake both are one. */
export interface IpvsKernel {
  /** All virtual servers with their real servers, one of them a step. One that goes while they are read has none. */
  list(): Generator<undefined, VirtualServer[], undefined>;
  /**
   * Carries commands out, each for itself and in order. To delete what is not there is no failure.
   * @returns those that the kernel refused; the others are done
   */
  apply(commands: readonly IpvsCommand[]): RefusedIpvsCommand[];
  /** Connections that each real server of a virtual server has, by `realServerKey`; empty when there is no such server. */
  connections(address: VirtualAddress): ReadonlyMap<string, number>;
  /** Sets time-outs of this network namespace. */
  setTimeouts(timeouts: IpvsTimeouts): void;
  close(): void;
}
