import { SignalboxError } from '../../errors/error.ts';
import { printSetCommand } from '../../rules/ipset/print.ts';
import type { IpSet, SetCommand, SetDeclaration, SetEntry } from '../../rules/ipset/syntax.ts';
import { errnoName, errnoNumber, isKernelError, type KernelError } from '../ffi.ts';
import {
  type Attribute,
  be32,
  encodePayload,
  NLA_F_NET_BYTEORDER,
  parseAttributes,
  text,
  u8,
} from '../netlink/attributes.ts';
import { TransactionError } from '../netlink/failure.ts';
import { type NetlinkReply, NLM_F_CREATE, NLM_F_DUMP } from '../netlink/message.ts';
import { readText } from '../netlink/readers.ts';
import { type NetlinkSocket, openNetlink } from '../netlink/socket.ts';
import {
  declarationAttributes,
  entriesAttributes,
  entryAttribute,
  IPSET_ATTR_FLAGS,
  IPSET_ATTR_PROTOCOL,
  IPSET_ATTR_SETNAME,
  parseDeclaration,
  parseEntries,
} from './codec.ts';
import type { IpsetKernel, RefusedSetCommand } from './interface.ts';

/**
 * Opens the sets of the current network namespace.
 * @throws SignalboxError `KERNEL_LACKS_IPVS`
 */
export function openIpset(): IpsetKernel {
  const socket = openNetlink('netfilter');
  try {
    const kernel = new IpsetSocket(socket);
    kernel.names();
    return kernel;
  } catch (error) {
    socket.close();
    if (!isKernelError(error, 'EINVAL', 'EOPNOTSUPP')) throw error;
    throw lacking('has no sets', 'ip_set xt_set', error);
  }
}

// include/uapi/linux/netfilter/nfnetlink.h, ipset/ip_set.h
const NFNL_SUBSYS_IPSET = 6;
const IPSET_PROTOCOL = 6;
const IPSET_CMD_CREATE = 2;
const IPSET_CMD_DESTROY = 3;
const IPSET_CMD_LIST = 7;
const IPSET_CMD_ADD = 9;
const IPSET_CMD_DEL = 10;
const IPSET_FLAG_LIST_SETNAME = 1 << 1;

/** The kernel's error numbers for sets begin where those of the system end. */
const setErrors: ReadonlyMap<number, string> = new Map([
  [4097, 'protocol error'],
  [4098, 'the kernel has no such type of set, or not in this form'],
  [4099, 'there are as many sets as there can be'],
  [4100, 'the set is in use by a rule'],
  [4102, 'there is a set of that name with another type'],
  [4352, 'the set is full'],
]);
const IPSET_ERR_FIND_TYPE = 4098;

/** Bytes of `nfgenmsg`. */
const headerLength = 4;
/** Entries in one message, well below what its length field can say. */
const entriesAtOnce = 400;

class IpsetSocket implements IpsetKernel {
  readonly #socket: NetlinkSocket;

  constructor(socket: NetlinkSocket) {
    this.#socket = socket;
  }

  names(): string[] {
    const flags = be32(IPSET_ATTR_FLAGS | NLA_F_NET_BYTEORDER, IPSET_FLAG_LIST_SETNAME);
    return this.#list([flags]).map(
      ({ payload }) => readText(parseAttributes(payload, headerLength).get(IPSET_ATTR_SETNAME)) ?? '',
    );
  }

  load(name: string): IpSet | undefined {
    try {
      const messages = this.#list([text(IPSET_ATTR_SETNAME, name)]);
      const set = messages[0] && parseDeclaration(messages[0].payload, headerLength);
      if (set === undefined) return undefined;
      return { ...set, entries: messages.flatMap(({ payload }) => parseEntries(payload, headerLength, set.type)) };
    } catch (error) {
      if (isKernelError(error, 'ENOENT')) return undefined;
      throw error;
    }
  }

  apply(commands: readonly SetCommand[]): RefusedSetCommand[] {
    return runs(commands).flatMap((run) => this.#apply(run));
  }

  close(): void {
    this.#socket.close();
  }

  /** Entries for one set go in one message; where the kernel refuses one of them, each goes in a message of its own. */
  #apply(run: Run): RefusedSetCommand[] {
    const [only] = run.commands;
    if (only === undefined) return [];
    if (run.commands.length > 1) {
      if (this.#send(run.verb, [text(IPSET_ATTR_SETNAME, run.name), ...entriesAttributes(run.entries)]) === undefined)
        return [];
      return run.commands.flatMap((command) => this.#apply({ ...run, commands: [command] }));
    }
    const error = this.#send(run.verb, [text(IPSET_ATTR_SETNAME, run.name), ...attributesOf(only)]);
    if (error === undefined || (only.verb === 'destroy' && error.errno === errnoNumber.ENOENT)) return [];
    return [{ command: only, error: explained(only, error) }];
  }

  /** Gives the refusal, if it was refused. */
  #send(verb: SetCommand['verb'], attributes: readonly Attribute[]): KernelError | undefined {
    const { command, flags } = messages[verb];
    try {
      this.#socket.transact([
        {
          type: (NFNL_SUBSYS_IPSET << 8) | command,
          flags,
          payload: encodePayload(header, [u8(IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL), ...attributes]),
        },
      ]);
      return undefined;
    } catch (error) {
      if (!(error instanceof TransactionError) || error.overrun) throw error;
      return error;
    }
  }

  #list(attributes: readonly Attribute[]): NetlinkReply[] {
    return [
      ...this.#socket.dump({
        type: (NFNL_SUBSYS_IPSET << 8) | IPSET_CMD_LIST,
        flags: NLM_F_DUMP,
        payload: encodePayload(header, [u8(IPSET_ATTR_PROTOCOL, IPSET_PROTOCOL), ...attributes]),
        operation: 'list sets',
      }),
    ];
  }
}

/** `struct nfgenmsg`; the family of a set is an attribute. */
const header = Uint8Array.of(2, 0, 0, 0);

const messages: { readonly [V in SetCommand['verb']]: { readonly command: number; readonly flags: number } } = {
  create: { command: IPSET_CMD_CREATE, flags: NLM_F_CREATE },
  destroy: { command: IPSET_CMD_DESTROY, flags: 0 },
  // Without NLM_F_EXCL, as `ipset -exist`.
  add: { command: IPSET_CMD_ADD, flags: 0 },
  del: { command: IPSET_CMD_DEL, flags: 0 },
};

/** Commands that can go in one message: entries added to one set, or deleted from it. */
interface Run {
  readonly verb: SetCommand['verb'];
  readonly name: string;
  readonly commands: readonly SetCommand[];
  readonly entries: readonly SetEntry[];
}

function runs(commands: readonly SetCommand[]): Run[] {
  const all: (Run & { commands: SetCommand[]; entries: SetEntry[] })[] = [];
  for (const command of commands) {
    const name = nameOf(command);
    const last = all.at(-1);
    const joins = 'entry' in command && last?.verb === command.verb && last.name === name;
    if (joins && last.commands.length < entriesAtOnce) {
      last.commands.push(command);
      last.entries.push(command.entry);
    } else
      all.push({ verb: command.verb, name, commands: [command], entries: 'entry' in command ? [command.entry] : [] });
  }
  return all;
}

function nameOf(command: SetCommand): string {
  return 'set' in command ? command.set.name : command.name;
}

function attributesOf(command: SetCommand): Attribute[] {
  switch (command.verb) {
    case 'create':
      return declarationAttributes(command.set);
    case 'destroy':
      return [];
    default:
      return [entryAttribute(command.entry)];
  }
}

function explained(command: SetCommand, cause: KernelError): SignalboxError {
  const words = setErrors.get(cause.errno) ?? errnoName(cause.errno);
  if (cause.errno === IPSET_ERR_FIND_TYPE && command.verb === 'create')
    return lacking(`has no sets of type ${command.set.type}`, moduleOf(command.set), cause);
  return new SignalboxError('KERNEL_REFUSED', {
    object: `ipset ${printSetCommand(command)}`,
    problem: `was refused by the kernel: ${words}`,
    remedy: cause.code === 'EPERM' ? 'run with CAP_NET_ADMIN' : 'see whether something else uses sets of this name',
    cause,
  });
}

function lacking(problem: string, modules: string, cause: unknown): SignalboxError {
  return new SignalboxError('KERNEL_LACKS_IPVS', {
    object: 'the kernel',
    problem,
    remedy: `load them (as root: modprobe -a ${modules}), or choose another proxy mode`,
    cause,
  });
}

/** `ip_set_hash_ipport` of `hash:ip,port`. */
function moduleOf({ type }: SetDeclaration): string {
  return `ip_set_${type.replace(':', '_').replaceAll(',', '')}`;
}
