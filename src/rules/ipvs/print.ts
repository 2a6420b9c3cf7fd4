import { urlHost } from '../../net/ip.ts';
import type {
  Forwarding,
  IpvsCommand,
  RealServer,
  SchedulerFlag,
  VirtualAddress,
  VirtualServer,
  VirtualServerOptions,
} from './syntax.ts';

/** A virtual server as ipvsadm names it: `-t 10.96.0.10:80`. Two are the same if this is. */
export function printVirtualAddress(address: VirtualAddress): string {
  if ('mark' in address) return address.family === 'IPv4' ? `-f ${address.mark}` : `-f ${address.mark} -6`;
  const option = { tcp: '-t', udp: '-u', sctp: '--sctp-service' }[address.protocol];
  return `${option} ${printSocketAddress(address)}`;
}

function printSocketAddress({ ip, port }: Pick<RealServer, 'ip' | 'port'>): string {
  return `${urlHost(ip)}:${port}`;
}

/** Virtual servers with their real servers, line for line as `ipvsadm -S -n` prints them. */
export function printVirtualServers(servers: Iterable<VirtualServer>): string {
  const commands: IpvsCommand[] = [];
  for (const { address, realServers, ...options } of servers) {
    commands.push({ verb: 'add', address, options });
    for (const realServer of realServers) commands.push({ verb: 'add-real', address, realServer });
  }
  return printCommands(commands);
}

/** Commands as `ipvsadm -R` reads them. */
export function printCommands(commands: Iterable<IpvsCommand>): string {
  return Array.from(commands, (command) => `${printCommand(command)}\n`).join('');
}

/** One command, as `ipvsadm -R` reads it. */
export function printCommand(command: IpvsCommand): string {
  const at = printVirtualAddress(command.address);
  switch (command.verb) {
    case 'add':
      return `-A ${at} ${printOptions(command.options)}`;
    case 'edit':
      return `-E ${at} ${printOptions(command.options)}`;
    case 'delete':
      return `-D ${at}`;
    case 'add-real':
      return `-a ${at} ${printRealServer(command.realServer)}`;
    case 'edit-real':
      return `-e ${at} ${printRealServer(command.realServer)}`;
    case 'delete-real':
      return `-d ${at} -r ${printSocketAddress(command.realServer)}`;
  }
}

function printOptions({ scheduler, schedulerFlags, persistentSeconds }: VirtualServerOptions): string {
  const words = ['-s', scheduler];
  if (persistentSeconds !== undefined) words.push('-p', `${persistentSeconds}`);
  if (schedulerFlags.length > 0) words.push('-b', schedulerFlags.map((flag) => `${scheduler}-${flag}`).join(','));
  return words.join(' ');
}

function printRealServer(realServer: RealServer): string {
  return `-r ${printSocketAddress(realServer)} ${forwardingOptions[realServer.forwarding]} -w ${realServer.weight}`;
}

/** ipvsadm shows a server on the node itself as a routed one. */
const forwardingOptions: { readonly [F in Forwarding]: string } = {
  masquerade: '-m',
  local: '-g',
  tunnel: '-i',
  route: '-g',
};

/** The order in which ipvsadm prints flags. */
export const schedulerFlags: readonly SchedulerFlag[] = ['fallback', 'port'];
