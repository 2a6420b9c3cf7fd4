import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Logger } from '../../component/log.ts';
import { portTaken } from '../../component/port-taken.ts';
import { familyOf } from '../../net/ip.ts';
import type { Responder } from '../answer.ts';
import { formatServerAddress, lookupNothing, type ServerAddress, socketType } from '../forward/address.ts';

/** A socket that answers, and how to end it. */
export interface Listener {
  readonly address: ServerAddress;
  close(): Promise<void>;
}

/** Octets waiting to be sent, from which on answers are dropped: their clients will ask again. */
const maxQueued = 4 << 20;
/** Room for queries that come while we are busy, in octets; the kernel gives what its own bound allows. */
const receiveBuffer = 4 << 20;

/**
 * Serves DNS over UDP. Port 0 takes a free one.
 * @throws SignalboxError `PORT_TAKEN`
 */
export async function listenUdp(address: ServerAddress, responder: Responder, log: Logger): Promise<Listener> {
  const family = familyOf(address.ip);
  const socket = createSocket({
    type: socketType(family),
    ipv6Only: family === 'IPv6',
    lookup: lookupNothing,
  });
  let isClosed = false;
  const listening = once(socket, 'listening');
  socket.bind(address.port, address.ip);
  try {
    await listening;
  } catch (cause) {
    throw portTaken(`${formatServerAddress(address)} UDP`, cause);
  }
  socket.on('error', (err) => log.warn({ err }, 'udp socket'));
  widen(socket);
  socket.on('message', (packet, { port, address: from }) => {
    // Nobody sends from port 0; answering it is an error of the socket.
    if (port === 0) return;
    responder.answer(packet, { transport: 'udp', family, address: from, port }, (reply) => {
      // An answer from elsewhere may come when nobody is left to send it.
      if (isClosed || socket.getSendQueueSize() > maxQueued) return;
      socket.send(reply, port, from);
      // What the kernel did not take at once is sent later, from the same memory.
      if (socket.getSendQueueCount() > 0) responder.keepReply();
    });
  });
  return {
    address: { ip: address.ip, port: socket.address().port },
    close: () => {
      isClosed = true;
      return new Promise((resolve) => socket.close(() => resolve()));
    },
  };
}

function widen(socket: Socket): void {
  try {
    socket.setRecvBufferSize(receiveBuffer);
  } catch {
    // Not every system lets it be set; the default serves as well, up to a smaller burst.
  }
}
