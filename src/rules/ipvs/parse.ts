import { SignalboxError } from '../../errors/error.ts';
import { parseIp } from '../../net/ip.ts';
import { printVirtualAddress, schedulerFlags } from './print.ts';
import type { RealServer, SchedulerFlag, VirtualAddress, VirtualServer } from './syntax.ts';

/**
 * Reads what `ipvsadm -S -n` prints.
 * @throws SignalboxError `INVALID_IPVS_TEXT` naming the line
 */
export function parseVirtualServers(text: string): VirtualServer[] {
  const servers = new Map<string, VirtualServer & { realServers: RealServer[] }>();
  for (const line of text.split('\n')) {
    if (line.trim() === '') continue;
    const words = new Words(line);
    const verb = words.next();
    const address = parseAddress(words);
    if (verb === '-A') {
      servers.set(printVirtualAddress(address), { address, ...parseOptions(words), realServers: [] });
      continue;
    }
    const server = servers.get(printVirtualAddress(address));
    if (verb !== '-a' || server === undefined) throw words.error();
    server.realServers.push(parseRealServer(words));
  }
  return [...servers.values()];
}

/** The words of a line, one after another. */
class Words {
  readonly #line: string;
  readonly #words: string[];

  constructor(line: string) {
    this.#line = line;
    this.#words = line.trim().split(/\s+/);
  }

  get more(): boolean {
    return this.#words.length > 0;
  }

  next(): string {
    const word = this.#words.shift();
    if (word === undefined) throw this.error();
    return word;
  }

  number(): number {
    const word = this.next();
    if (!/^\d+$/.test(word)) throw this.error();
    return Number(word);
  }

  /** Whether the next word is this one, which is taken then. */
  skip(word: string): boolean {
    if (this.#words[0] !== word) return false;
    this.#words.shift();
    return true;
  }

  socketAddress(): Pick<RealServer, 'ip' | 'port'> {
    const [, bracketed, plain = '', port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(this.next()) ?? [];
    if (port === undefined) throw this.error();
    return { ip: parseIp(bracketed ?? plain), port: Number(port) };
  }

  error(): SignalboxError {
    return new SignalboxError('INVALID_IPVS_TEXT', {
      object: `the line "${this.#line}"`,
      problem: 'is not one of ipvsadm -S -n with an option that is understood',
      remedy: 'write it as -A -t 10.96.0.10:80 -s rr, or -a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1',
    });
  }
}

const protocols = new Map([
  ['-t', 'tcp'],
  ['-u', 'udp'],
  ['--sctp-service', 'sctp'],
] as const);

function parseAddress(words: Words): VirtualAddress {
  const option = words.next();
  if (option === '-f') {
    const mark = words.number();
    return { mark, family: words.skip('-6') ? 'IPv6' : 'IPv4' };
  }
  const protocol = new Map<string, 'tcp' | 'udp' | 'sctp'>(protocols).get(option);
  if (protocol === undefined) throw words.error();
  return { protocol, ...words.socketAddress() };
}

function parseOptions(words: Words): Omit<VirtualServer, 'address' | 'realServers'> {
  let scheduler = 'wlc';
  let persistentSeconds: number | undefined;
  let flags: readonly SchedulerFlag[] = [];
  while (words.more) {
    if (words.skip('-s')) scheduler = words.next();
    else if (words.skip('-p')) persistentSeconds = words.number();
    else if (words.skip('-b')) {
      const given = words.next().split(',');
      flags = schedulerFlags.filter((flag) => given.includes(`${scheduler}-${flag}`));
      if (flags.length !== given.length) throw words.error();
    } else throw words.error();
  }
  return { scheduler, schedulerFlags: flags, ...(persistentSeconds === undefined ? {} : { persistentSeconds }) };
}

function parseRealServer(words: Words): RealServer {
  if (!words.skip('-r')) throw words.error();
  const socketAddress = words.socketAddress();
  let forwarding: RealServer['forwarding'] = 'route';
  let weight = 1;
  while (words.more) {
    if (words.skip('-m')) forwarding = 'masquerade';
    else if (words.skip('-i')) forwarding = 'tunnel';
    else if (words.skip('-g')) forwarding = 'route';
    else if (words.skip('-w')) weight = words.number();
    else throw words.error();
  }
  return { ...socketAddress, weight, forwarding };
}
