import { SignalboxError } from '../../errors/error.ts';
import { printCommand, printVirtualAddress } from '../../rules/ipvs/print.ts';
import {
  addressFamily,
  type IpvsCommand,
  realServerKey,
  type VirtualAddress,
  type VirtualServer,
} from '../../rules/ipvs/syntax.ts';
import { errnoNumber, isKernelError, KernelError } from '../ffi.ts';
import { type Attribute, encodePayload, parseAttributes, u32 } from '../netlink/attributes.ts';
import { type NetlinkFailure, TransactionError } from '../netlink/failure.ts';
import { genericHeader, genericHeaderLength, resolveFamily } from '../netlink/generic.ts';
import { MessageBatch, NLM_F_DUMP } from '../netlink/message.ts';
import { type NetlinkSocket, openNetlink } from '../netlink/socket.ts';
import {
  addressAttribute,
  IPVS_CMD_ATTR_DEST,
  IPVS_CMD_ATTR_SERVICE,
  parseRealServer,
  parseServer,
  realServerAttribute,
  type ServerState,
  serverAttribute,
} from './codec.ts';
import type { IpvsKernel, IpvsTimeouts, RefusedIpvsCommand } from './interface.ts';

/**
 * Opens IPVS of the current network namespace.
 * @throws SignalboxError `KERNEL_LACKS_IPVS`
 */
export function openIpvs(): IpvsKernel {
  const socket = openNetlink('generic');
  try {
    return new IpvsSocket(socket, resolveFamily(socket, 'IPVS'));
  } catch (error) {
    socket.close();
    if (!isKernelError(error, 'ENOENT')) throw error;
    throw new SignalboxError('KERNEL_LACKS_IPVS', {
      object: 'the kernel',
      problem: 'has no IPVS',
      remedy: 'load it (as root: modprobe ip_vs), or choose another proxy mode',
      cause: error,
    });
  }
}

// include/uapi/linux/ip_vs.h
const IPVS_GENL_VERSION = 1;
const IPVS_CMD_NEW_SERVICE = 1;
const IPVS_CMD_SET_SERVICE = 2;
const IPVS_CMD_DEL_SERVICE = 3;
const IPVS_CMD_GET_SERVICE = 4;
const IPVS_CMD_NEW_DEST = 5;
const IPVS_CMD_SET_DEST = 6;
const IPVS_CMD_DEL_DEST = 7;
const IPVS_CMD_GET_DEST = 8;
const IPVS_CMD_SET_CONFIG = 12;
const IPVS_CMD_ATTR_TIMEOUT_TCP = 4;
const IPVS_CMD_ATTR_TIMEOUT_TCP_FIN = 5;
const IPVS_CMD_ATTR_TIMEOUT_UDP = 6;

const commandNumbers: { readonly [V in IpvsCommand['verb']]: number } = {
  add: IPVS_CMD_NEW_SERVICE,
  edit: IPVS_CMD_SET_SERVICE,
  delete: IPVS_CMD_DEL_SERVICE,
  'add-real': IPVS_CMD_NEW_DEST,
  'edit-real': IPVS_CMD_SET_DEST,
  'delete-real': IPVS_CMD_DEL_DEST,
};

/** Commands in one send: their refusals all fit into the receive buffer. */
const commandsAtOnce = 1000;

class IpvsSocket implements IpvsKernel {
  readonly #socket: NetlinkSocket;
  readonly #family: number;

  constructor(socket: NetlinkSocket, family: number) {
    this.#socket = socket;
    this.#family = family;
  }

  *list(): Generator<undefined, VirtualServer[], undefined> {
    const servers: VirtualServer[] = [];
    for (const value of this.#dump(IPVS_CMD_GET_SERVICE, IPVS_CMD_ATTR_SERVICE, [])) {
      const server = parseServer(value);
      if (server === undefined) continue;
      const realServers = this.#realServers(server.address).map(({ realServer }) => realServer);
      servers.push({ ...server, realServers });
      yield;
    }
    return servers;
  }

  apply(commands: readonly IpvsCommand[]): RefusedIpvsCommand[] {
    const refused: RefusedIpvsCommand[] = [];
    for (let from = 0; from < commands.length; from += commandsAtOnce) {
      refused.push(...this.#apply(commands.slice(from, from + commandsAtOnce)));
    }
    return refused;
  }

  connections(address: VirtualAddress): ReadonlyMap<string, number> {
    return new Map(
      this.#realServers(address).map(({ realServer, connections }) => [realServerKey(realServer), connections]),
    );
  }

  setTimeouts({ tcp, tcpFin, udp }: IpvsTimeouts): void {
    // The kernel wants all three; 0 leaves a time-out as it is.
    this.#socket.request({
      type: this.#family,
      flags: 0,
      payload: encodePayload(genericHeader(IPVS_CMD_SET_CONFIG, IPVS_GENL_VERSION), [
        u32(IPVS_CMD_ATTR_TIMEOUT_TCP, tcp ?? 0),
        u32(IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, tcpFin ?? 0),
        u32(IPVS_CMD_ATTR_TIMEOUT_UDP, udp ?? 0),
      ]),
      operation: 'set the time-outs of IPVS',
    });
  }

  close(): void {
    this.#socket.close();
  }

  #apply(commands: readonly IpvsCommand[]): RefusedIpvsCommand[] {
    const batch = new MessageBatch();
    for (const command of commands) {
      const header = genericHeader(commandNumbers[command.verb], IPVS_GENL_VERSION);
      batch.addMessage({ type: this.#family, flags: 0, header }, attributesOf(command));
    }
    try {
      this.#socket.transact(batch);
      return [];
    } catch (error) {
      if (!(error instanceof TransactionError) || error.overrun) throw error;
      return error.failures.flatMap((failure) => refusalOf(commands[failure.index], failure) ?? []);
    }
  }

  /** None when there is no such virtual server: the kernel's list is empty then. */
  #realServers(address: VirtualAddress): ServerState[] {
    const family = addressFamily(address);
    return this.#dump(IPVS_CMD_GET_DEST, IPVS_CMD_ATTR_DEST, [addressAttribute(address)]).map((value) =>
      parseRealServer(value, family),
    );
  }

  #dump(command: number, attribute: number, attributes: readonly Attribute[]): Uint8Array[] {
    const replies = this.#socket.dump({
      type: this.#family,
      flags: NLM_F_DUMP,
      payload: encodePayload(genericHeader(command, IPVS_GENL_VERSION), attributes),
      operation: 'read the table of IPVS',
    });
    return Array.from(replies, ({ payload }) => parseAttributes(payload, genericHeaderLength).get(attribute)).filter(
      (value) => value !== undefined,
    );
  }
}

function attributesOf(command: IpvsCommand): Attribute[] {
  switch (command.verb) {
    case 'add':
    case 'edit':
      return [serverAttribute(command.address, command.options)];
    case 'delete':
      return [addressAttribute(command.address)];
    default:
      return [addressAttribute(command.address), realServerAttribute(command.realServer)];
  }
}

/** `undefined` where the kernel says only that it was so already. */
function refusalOf(command: IpvsCommand | undefined, failure: NetlinkFailure): RefusedIpvsCommand | undefined {
  if (command === undefined) return undefined;
  const { verb } = command;
  const { errno } = failure;
  if ((verb === 'delete' || verb === 'delete-real') && (errno === errnoNumber.ESRCH || errno === errnoNumber.ENOENT))
    return undefined;
  const cause = new KernelError(`ipvsadm ${printCommand(command)}`, errno, failure.detail);
  return { command, error: explained(command, cause) };
}

function explained(command: IpvsCommand, cause: KernelError): SignalboxError {
  if ((command.verb === 'add' || command.verb === 'edit') && cause.code === 'ENOENT') {
    const { scheduler } = command.options;
    return new SignalboxError('KERNEL_LACKS_IPVS', {
      object: `the scheduler ${scheduler}`,
      problem: 'is not in the kernel',
      remedy: `load it (as root: modprobe ip_vs_${scheduler}), or set ipvs.scheduler to another one`,
      cause,
    });
  }
  return new SignalboxError('KERNEL_REFUSED', {
    object: `the IPVS virtual server ${printVirtualAddress(command.address)}`,
    problem: `was refused by the kernel: ${cause.message}`,
    remedy: cause.code === 'EPERM' ? 'run with CAP_NET_ADMIN' : 'see whether something else changes it',
    cause,
  });
}
