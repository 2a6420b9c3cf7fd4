import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { bundleTypeScript, runTypeScript } from '../../../test/run-typescript.ts';
import { isKernelError } from '../ffi.ts';
import { inFreshNetns, inNetns, openNetns, spawnIn } from '../netns.ts';
import {
  be32,
  bytes,
  encodePayload,
  iterateAttributes,
  nested,
  nestedList,
  parseAttributes,
  text,
} from './attributes.ts';
import { TransactionError } from './failure.ts';
import { deleteLinkRequest, getLinkRequest, listLinksRequest, newLinkRequest, parseLink } from './link-messages.ts';
import { MessageBatch, type NetlinkRequest, NLM_F_CREATE, NLM_F_DUMP, NLM_F_ECHO, NLM_F_EXCL } from './message.ts';
import { type NetlinkSocket, openNetlink } from './socket.ts';

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h
const nft = (message: number) => (10 << 8) | message;
const [NEWTABLE, GETTABLE, DELTABLE, NEWSET, NEWSETELEM, GETSETELEM] = [0, 1, 2, 9, 12, 13].map(nft) as [
  number,
  number,
  number,
  number,
  number,
  number,
];
const nfgenmsg = (family: number, resource = 0) => Uint8Array.of(family, 0, resource >> 8, resource & 255);
const IPV4 = 2;
const batchBegin: NetlinkRequest = { type: 0x10, flags: 0, payload: nfgenmsg(0, 10) };
const batchEnd: NetlinkRequest = { type: 0x11, flags: 0, payload: nfgenmsg(0, 10) };
const table = (type: number, name: string, flags = 0): NetlinkRequest => ({
  type,
  flags,
  payload: encodePayload(nfgenmsg(IPV4), [text(1, name)]),
  operation: `table ${name}`,
});

let socket: NetlinkSocket;
afterEach(() => socket.close());

function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('request', () => {
  beforeEach(() => {
    socket = openNetlink('route');
  });

  test('gives the replies without the acknowledgement', () => {
    const replies = socket.request(getLinkRequest('lo'));
    expect(replies.map((reply) => parseLink(reply.payload).name)).toEqual(['lo']);
    expect(socket.request(getLinkRequest('lo'))[0]?.sequence).toBe((replies[0]?.sequence ?? 0) + 1);
  });

  test('throws the name of the error and what it was for', () => {
    const error = thrown(() => socket.request(getLinkRequest('nothing')));
    expect(isKernelError(error, 'ENODEV') && error.message).toBe('get link nothing: ENODEV');
  });

  test('throws the words of the kernel', () => {
    const error = thrown(() => socket.request(newLinkRequest('no-such-kind', { name: 'a' })));
    expect(error).toMatchObject({ code: 'EOPNOTSUPP', detail: expect.stringContaining('Unknown device type') });
  });

  test('answers a dump request as dump does', () => {
    expect(socket.request(listLinksRequest()).map((reply) => parseLink(reply.payload).name)).toEqual(['lo']);
  });

  test('gives up after its time-out when no answer comes', () => {
    // The kernel passes over control messages (below type 16), and a dump asks for no acknowledgement.
    const hurried = openNetlink('route', { timeout: 30 });
    const start = performance.now();
    const error = thrown(() => hurried.dump({ type: 1, flags: 0, payload: new Uint8Array(0), operation: 'nothing' }));
    expect(error).toMatchObject({ code: 'ETIMEDOUT', message: 'nothing: ETIMEDOUT (no reply)' });
    expect(performance.now() - start).toBeGreaterThan(25);
    hurried.close();
  });
});

describe('transact', () => {
  beforeEach(() => {
    socket = openNetlink('netfilter');
  });
  const tables = () =>
    [...socket.dump({ type: GETTABLE, flags: NLM_F_DUMP, payload: nfgenmsg(IPV4) })].map((reply) =>
      Buffer.from(parseAttributes(reply.payload, 4).get(1) ?? [])
        .toString()
        .replace('\0', ''),
    );

  test('does nothing for no messages', () => {
    expect(socket.transact([])).toEqual([]);
  });

  test('applies an nftables batch as a whole, or not at all', () => {
    socket.transact([batchBegin, table(NEWTABLE, 'one', NLM_F_CREATE), table(NEWTABLE, 'two', NLM_F_CREATE), batchEnd]);
    expect(tables().sort()).toEqual(['one', 'two']);
    const error = thrown(() =>
      socket.transact([
        batchBegin,
        table(NEWTABLE, 'three', NLM_F_CREATE),
        table(DELTABLE, 'four'),
        table(NEWTABLE, 'one', NLM_F_CREATE | NLM_F_EXCL),
        batchEnd,
      ]),
    );
    expect(error).toBeInstanceOf(TransactionError);
    expect((error as TransactionError).failures.map(({ index, errno }) => [index, errno])).toEqual([
      [2, 2],
      [3, 17],
    ]);
    expect((error as TransactionError).message).toMatch(
      /^transaction of 5 messages: ENOENT \(message 2, table four: ENOENT.*; message 3, table one: EEXIST/,
    );
    expect(tables().sort()).toEqual(['one', 'two']);
    socket.transact([batchBegin, table(DELTABLE, 'one'), table(DELTABLE, 'two'), batchEnd]);
    expect(tables()).toEqual([]);
  });

  test('gives what the kernel echoes', () => {
    const echoed = socket.transact([batchBegin, table(NEWTABLE, 'echo', NLM_F_CREATE | NLM_F_ECHO), batchEnd]);
    expect(echoed.map((reply) => reply.type)).toContain(NEWTABLE);
    socket.transact([batchBegin, table(DELTABLE, 'echo'), batchEnd]);
  });

  test('goes on after a failure with the next request', () => {
    thrown(() => socket.transact([batchBegin, table(DELTABLE, 'none'), batchEnd]));
    expect(tables()).toEqual([]);
  });

  test('lists a thousand failures', () => {
    const parts = Array.from({ length: 1_000 }, (_, i) => table(DELTABLE, `none-${i}`));
    const error = thrown(() => socket.transact([batchBegin, ...parts, batchEnd]));
    expect((error as TransactionError).failures).toHaveLength(1_000);
    expect((error as TransactionError).overrun).toBe(false);
  });

  test('says so when there are more failures than the socket holds, and starts afresh', () => {
    const parts = Array.from({ length: 20_000 }, (_, i) => table(DELTABLE, `none-${i}`));
    const error = thrown(() => socket.transact([batchBegin, ...parts, batchEnd])) as TransactionError;
    expect(error.overrun).toBe(true);
    expect(error.failures.length).toBeGreaterThan(500);
    expect(error.message).toContain('and more');
    expect(tables()).toEqual([]);
  });

  test('reports each rtnetlink message by its index, and does the others', () => {
    const routes = openNetlink('route');
    const error = thrown(() =>
      routes.transact([
        newLinkRequest('bridge', { name: 'first' }),
        deleteLinkRequest('none'),
        newLinkRequest('bridge', { name: 'last' }),
      ]),
    );
    expect((error as TransactionError).failures.map(({ index }) => index)).toEqual([1]);
    routes.transact([deleteLinkRequest('first'), deleteLinkRequest('last')]);
    routes.close();
  });
});

function key(index: number): Uint8Array {
  const value = new Uint8Array(16);
  new DataView(value.buffer).setUint32(12, index);
  return value;
}

const elementsPerMessage = 1_500;
const bigTable = 'big';

/** A set with 16-byte keys, `count` elements, as the messages of one transaction. */
function bigSet(count: number): MessageBatch {
  const batch = new MessageBatch();
  batch.add(batchBegin);
  batch.add(table(NEWTABLE, bigTable, NLM_F_CREATE));
  // Name, key type 8 (ipv6_addr) and length, id within the batch.
  const set = [text(1, bigTable), text(2, 'set'), be32(4, 8), be32(5, 16), be32(10, 1)];
  batch.addMessage({ type: NEWSET, flags: NLM_F_CREATE, header: nfgenmsg(IPV4) }, set);
  for (let from = 0; from < count; from += elementsPerMessage) {
    const elements = Array.from({ length: Math.min(elementsPerMessage, count - from) }, (_, i) =>
      nested(1, nested(1, bytes(1, key(from + i)))),
    );
    const head = { type: NEWSETELEM, flags: NLM_F_CREATE, header: nfgenmsg(IPV4) };
    batch.addMessage(head, [text(1, bigTable), text(2, 'set'), nestedList(3, elements)]);
  }
  batch.add(batchEnd);
  return batch;
}

/** Root always has; within a user namespace it depends on the machine's net.core.wmem_max. */
function roomFor5Megabytes(): boolean {
  const probe = openNetlink('netfilter');
  probe.close();
  return probe.maxMessageBytes > 6_000_000;
}

describe('transact of megabytes', () => {
  beforeEach(() => {
    socket = openNetlink('netfilter');
  });
  const countElements = () => {
    const payload = encodePayload(nfgenmsg(IPV4), [text(1, bigTable), text(2, 'set')]);
    const replies = [...socket.dump({ type: GETSETELEM, flags: NLM_F_DUMP, payload })];
    const lists = replies.map((reply) => parseAttributes(reply.payload, 4).get(3));
    return lists.reduce((sum, list) => sum + (list === undefined ? 0 : [...iterateAttributes(list)].length), 0);
  };

  test.runIf(roomFor5Megabytes())('loads 5 MB at once', () => {
    const count = 190_000;
    const batch = bigSet(count);
    expect(batch.byteLength).toBeGreaterThan(5_000_000);
    socket.transact(batch);
    expect(countElements()).toBe(count);
    socket.transact([batchBegin, table(DELTABLE, bigTable), batchEnd]);
  });

  test('loads as much as maxMessageBytes promises', () => {
    const room = Math.min(socket.maxMessageBytes, 1_000_000);
    const count = Math.floor((room - 1_000) / 28.1);
    const batch = bigSet(count);
    expect(batch.byteLength).toBeLessThanOrEqual(room);
    expect(batch.byteLength).toBeGreaterThan(room * 0.95);
    socket.transact(batch);
    expect(countElements()).toBe(count);
    socket.transact([batchBegin, table(DELTABLE, bigTable), batchEnd]);
  });

  test('sends maxMessageBytes within a user namespace, and names the limit before it sends more', () => {
    const source = `
      import { openNetlink } from './src/kernel/netlink/socket.ts';
      const socket = openNetlink('route');
      const most = socket.maxMessageBytes;
      // A control message, which the kernel takes and passes over.
      const send = (length: number) => socket.transact([{ type: 1, flags: 0, payload: new Uint8Array(length - 16) }]);
      console.log(most, send(most).length);
      try { send(most + 1); } catch (error) { console.log((error as Error).message); }`;
    const { stdout } = runTypeScript(source, ['unshare', '--user', '--map-root-user', '--net']);
    const limit = Number.parseInt(stdout, 10);
    expect(stdout.split('\n')).toEqual([
      `${limit} 0`,
      `a netlink transaction of ${limit + 4} bytes passes the send buffer, which takes ${limit} bytes: split it, run as ` +
        'root, or let the administrator raise the sysctl net.core.wmem_max [KERNEL_MESSAGE_TOO_LARGE]',
      '',
    ]);
  });
});

describe('dump', () => {
  test('is whole while another process makes and removes devices', async () => {
    const fd = inFreshNetns(() => openNetns('/proc/thread-self/ns/net'));
    const place = `/proc/self/fd/${fd}`;
    socket = inNetns(place, () => openNetlink('route'));
    // More than one reply holds, so that changes fall between the parts.
    socket.transact(Array.from({ length: 60 }, (_, i) => newLinkRequest('bridge', { name: `stays${i}` })));
    const flapping = spawnIn(place, process.execPath, ['-e', bundleTypeScript(flap)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    try {
      if (flapping.stdout === null) throw new Error('no pipe');
      await once(flapping.stdout, 'data');
      // Until the test has met what it is about: a dump that took more than one try.
      let previous = 0;
      let retried = false;
      for (let i = 0; !retried && i < 10_000; i++) {
        const replies = [...socket.dump(listLinksRequest())];
        const found = replies.map((reply) => parseLink(reply.payload).name);
        expect(found.filter((name) => name.startsWith('stays'))).toHaveLength(60);
        expect(new Set(found).size).toBe(found.length);
        const sequences = new Set(replies.map((reply) => reply.sequence));
        expect(sequences.size).toBe(1);
        retried = previous > 0 && !sequences.has(previous + 1);
        [previous = 0] = sequences;
      }
      expect(retried).toBe(true);
    } finally {
      flapping.kill('SIGKILL');
      closeSync(fd);
    }
  });
});

const flap = `
  import { openRoutes } from './src/kernel/links.ts';
  const routes = openRoutes();
  console.log('up');
  for (;;) {
    routes.createBridge({ name: 'flap' });
    routes.setLink('flap', { up: true });
    routes.deleteLink('flap');
  }`;
