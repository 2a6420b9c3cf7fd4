import { randomInt } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import type { Logger } from '../component/log.ts';
import { familyOf, type IpFamily, tryParseIp } from '../net/ip.ts';
import { transferRuleOf } from './config/transfer-rule.ts';
import type { TransferRule } from './config/types.ts';
import { formatServerAddress, lookupNothing, type ServerAddress, socketType } from './forward/address.ts';
import { flag, headerLength, opcode, opcodeMask, recordClass, recordType } from './wire/constants.ts';
import { formatName, type Name } from './wire/name.ts';
import type { ClusterZone } from './zone.ts';

/** What a notifier tells, and whom. */
export interface NotifierOptions {
  readonly rules: readonly TransferRule[];
  readonly zone: ClusterZone;
  /** Whether the zones are whole: before, there is nothing to fetch. */
  readonly isReady: () => boolean;
  readonly log: Logger;
  /** How often the zones are looked at, in milliseconds. */
  readonly intervalMs?: number;
}

/** Changes come in crowds, and a secondary that has fetched one zone a second has enough to do. */
const lookEveryMs = 1_000;
/** How often a change is told of, at most. RFC 1996 §3.6 leaves the number to us, and gives five as an example. */
const maxTries = 5;
/** Who has not answered for long is told of one change in so many looks, by powers of two. */
const maxSilence = 6;

/** What a server is to be told of one zone. */
interface Telling {
  readonly peer: ServerAddress;
  readonly apex: Name;
  /** The serial number last told of, and how often so far; `undefined` for none yet. */
  serial: number | undefined;
  tries: number;
  isAnswered: boolean;
  /** How often it was told since it last answered, of whatever change, and looks at the zone until the next time. */
  silence: number;
  pause: number;
  id: number;
}

/**
 * Tells other servers that zones they may have as a whole have changed (NOTIFY, RFC 1996): at most once at each look,
 * again with growing pauses until it is answered, and no longer when there is a later change to tell of. Whoever never
 * answers, a client that is no server, is soon told hardly ever.
 */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #tellings: readonly Telling[];
  readonly #sockets = new Map<IpFamily, Socket>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: NotifierOptions) {
    this.#options = options;
    const { rules, zone, intervalMs = lookEveryMs } = options;
    const fresh = { serial: undefined, tries: 0, isAnswered: false, silence: 0, pause: 0, id: 0 };
    this.#tellings = zone.zones.flatMap(({ apex }) => {
      return (transferRuleOf(rules, apex)?.notify ?? []).map((peer) => ({ peer, apex, ...fresh }));
    });
    this.#timer = setInterval(() => this.#look(), intervalMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets.values()) socket.close();
    this.#sockets.clear();
  }

  #look(): void {
    if (!this.#options.isReady()) return;
    const { serial } = this.#options.zone;
    for (const telling of this.#tellings) {
      if (telling.serial !== serial) Object.assign(telling, { serial, tries: 0, isAnswered: false });
      if (telling.isAnswered || telling.tries > maxTries) continue;
      if (telling.pause > 0) telling.pause--;
      else this.#tell(telling);
    }
  }

  #tell(telling: Telling): void {
    if (telling.tries === maxTries) {
      const { peer, apex } = telling;
      this.#options.log.warn({ peer: formatServerAddress(peer), zone: formatName(apex) }, 'a change was told in vain');
    } else {
      telling.id = randomInt(0x10000);
      const { ip, port } = telling.peer;
      this.#socket(familyOf(ip)).send(notification(telling.id, telling.apex), port, ip, (error) => {
        if (error !== null) this.#options.log.debug({ err: error }, 'a change could not be told');
      });
    }
    telling.pause = 2 ** Math.min(telling.silence, maxSilence);
    telling.silence++;
    telling.tries++;
  }

  #socket(family: IpFamily): Socket {
    const known = this.#sockets.get(family);
    if (known !== undefined) return known;
    const socket = createSocket({ type: socketType(family), lookup: lookupNothing });
    socket.unref();
    socket.on('error', (err) => this.#options.log.debug({ err }, 'the socket that tells of changes'));
    socket.on('message', (message, from) => this.#hear(message, from));
    this.#sockets.set(family, socket);
    return socket;
  }

  /** An answer ends the telling, whatever it says: who refuses now will not be persuaded by the next packet. */
  #hear(message: Buffer, from: { readonly address: string; readonly port: number }): void {
    if (message.length < headerLength) return;
    const flags = message.readUInt16BE(2);
    if ((flags & flag.QR) === 0 || (flags & opcodeMask) >> 11 !== opcode.NOTIFY) return;
    const ip = tryParseIp(from.address);
    for (const telling of this.#tellings)
      if (telling.id === message.readUInt16BE(0) && telling.peer.ip === ip && telling.peer.port === from.port)
        Object.assign(telling, { isAnswered: true, silence: 0, pause: 0 });
  }
}

/** That a zone has changed (RFC 1996 §3.7); who wants to know its serial number asks. */
function notification(id: number, apex: Name): Buffer {
  const header = Buffer.alloc(headerLength);
  header.writeUInt16BE(id, 0);
  header.writeUInt16BE((opcode.NOTIFY << 11) | flag.AA, 2);
  header.writeUInt16BE(1, 4);
  const type = Buffer.from([0, recordType.SOA, 0, recordClass.IN]);
  return Buffer.concat([header, Buffer.from(apex, 'latin1'), type]);
}
