import { type DestinationStream, type Logger, pino } from 'pino';
import { describe, expect, test, vi } from 'vitest';
import { parseIp } from '../../net/ip.ts';
import { Responder } from '../answer.ts';
import type { LogRule } from '../config/types.ts';
import { ForwardHandler } from '../handlers/forward.ts';
import { KubernetesHandler } from '../handlers/kubernetes.ts';
import { type Handler, inOrder } from '../handlers/order.ts';
import { DnsMetrics } from '../metrics.ts';
import { type Asked, ask, rcodeOf } from '../testing/ask.ts';
import { exampleZone } from '../testing/cluster.ts';
import { newForwarder } from '../testing/forwarding.ts';
import { name } from '../testing/objects.ts';
import { otherServer } from '../testing/servers.ts';
import { rcode, recordType } from '../wire/constants.ts';
import { rcodeName } from '../wire/mnemonics.ts';
import { rootName } from '../wire/name.ts';
import { ErrorLog } from './error-log.ts';
import { logFormats, unknownReplacer } from './format.ts';
import { QueryLog } from './query-log.ts';

/** A log, and the lines written to it, the level before each. */
function logged(): { log: Logger; lines: string[] } {
  const lines: string[] = [];
  const stream: DestinationStream = {
    write: (text) => {
      const { level, msg } = JSON.parse(text);
      lines.push(`${pino.levels.labels[level]} ${msg}`);
    },
  };
  return { log: pino({ level: 'debug' }, stream), lines };
}

async function linesOf(rules: readonly LogRule[], ...asked: readonly Asked[]): Promise<string[]> {
  const { log, lines } = logged();
  const responder = responderWith(
    [new KubernetesHandler({ zone: exampleZone(), isReady: () => true, loadbalance: false })],
    new QueryLog(rules, log),
  );
  for (const each of asked) await ask(responder, each);
  return lines;
}

function responderWith(kubernetes: readonly Handler[], log?: QueryLog, errors?: ErrorLog, crashes: unknown[] = []) {
  const metrics = new DnsMetrics();
  return new Responder({
    blocks: [
      {
        zones: [{ apex: rootName, metrics: metrics.queries('dns://:53', '.'), log, errors }],
        handlers: inOrder({ kubernetes }),
      },
    ],
    maxUdpSize: 1232,
    isRecursive: false,
    dropped: metrics.queries('dns://:53', 'dropped'),
    onCrash: (error) => crashes.push(error),
  });
}

const every: LogRule = { zones: [rootName], format: logFormats.common, classes: [] };
const hello: Asked = { name: 'Hello-Service.default.svc.cluster.local', type: 'A', udpSize: 1232 };
const gone: Asked = { name: 'gone.default.svc.cluster.local', type: 'AAAA', transport: 'tcp' };
const empty: Asked = { name: 'default.svc.cluster.local', type: 'A' };
const strange: Asked = { name: 'example.com', type: 'A' };

describe('QueryLog', () => {
  test("writes CoreDNS' common and combined formats", async () => {
    const [first, second] = await linesOf([every], hello, gone);
    expect(first).toMatch(
      /^info 127\.0\.0\.1:4711 - 4711 "A IN hello-service\.default\.svc\.cluster\.local\. udp 68 false 1232" NOERROR qr,aa,rd \d+ 0(\.\d+)?s$/,
    );
    expect(second).toMatch(
      / "AAAA IN gone\.default\.svc\.cluster\.local\. tcp 48 false 65535" NXDOMAIN qr,aa,rd \d+ [\d.]+s$/,
    );
    const [combined] = await linesOf([{ ...every, format: logFormats.combined }], empty);
    expect(combined).toMatch(/ udp 43 false 512" NOERROR qr,aa,rd \d+ [\d.]+s 0$/);
  });

  test.each([
    [['success'], ['hello']],
    [['denial'], ['gone', 'default']],
    [['error'], ['example']],
    [
      ['error', 'denial'],
      ['gone', 'default', 'example'],
    ],
    [[], ['hello', 'gone', 'default', 'example']],
  ] as const)('of the classes %j writes those only', async (classes, names) => {
    const rule: LogRule = { ...every, format: '{name}', classes };
    const lines = await linesOf([rule], hello, gone, empty, strange);
    expect(lines.map((line) => /^info ([a-z]+)/.exec(line)?.[1])).toEqual(names);
  });

  test('names types and codes as others do', async () => {
    const rule: LogRule = { ...every, format: '{type} {rcode}' };
    const asked = [65, 257, 65280].map((type) => ({ ...hello, type: `UNKNOWN_${type}` }));
    const lines = await linesOf([rule], ...asked);
    expect(lines).toEqual(['info HTTPS NOERROR', 'info CAA NOERROR', 'info TYPE65280 NOERROR']);
    expect([9, 16, 12].map(rcodeName)).toEqual(['NOTAUTH', 'BADVERS', 'RCODE12']);
  });

  test('goes by the first rule that has the name in a zone, even if its classes leave the query out', async () => {
    const rules: LogRule[] = [
      { zones: [name('default.svc.cluster.local')], format: 'first {name}', classes: ['denial'] },
      { zones: [name('cluster.local')], format: 'second {name}', classes: [] },
    ];
    const lines = await linesOf(rules, hello, gone, { name: 'nowhere.cluster.local', type: 'A' }, strange);
    expect(lines).toEqual(['info first gone.default.svc.cluster.local.', 'info second nowhere.cluster.local.']);
  });
});

describe('unknownReplacer', () => {
  test('finds what no line could have', () => {
    expect(unknownReplacer(logFormats.combined)).toBeUndefined();
    expect(unknownReplacer('{name} {/metadata}')).toBe('{/metadata}');
    expect(unknownReplacer('{toString}')).toBe('{toString}');
  });
});

describe('ErrorLog', () => {
  const query = { name: name('example.org'), type: recordType.A } as Parameters<ErrorLog['note']>[0];

  test('tells a failure as CoreDNS does', async () => {
    const { log, lines } = logged();
    const handler = new KubernetesHandler({ zone: exampleZone(), isReady: () => false, loadbalance: false });
    await ask(responderWith([handler], undefined, new ErrorLog({ consolidate: [] }, log)), hello);
    expect(lines).toEqual(['error 2 hello-service.default.svc.cluster.local. A: the zone is not whole yet']);
  });

  test.each([
    ['says nothing', 'i/o timeout'],
    ['is not there', 'connection refused'],
  ])('tells of an upstream that %s as CoreDNS does', async (what, reason) => {
    const { log, lines } = logged();
    const silent = await otherServer(() => undefined);
    const nobody = { ip: parseIp('127.0.0.1'), port: 1 };
    const forwarder = newForwarder({ upstreams: [what === 'says nothing' ? silent.address : nobody] });
    const handler = new ForwardHandler({ from: rootName, except: [], forwarder, loadbalance: false });
    await ask(responderWith([handler], undefined, new ErrorLog({ consolidate: [] }, log)), strange);
    forwarder.close();
    await silent.close();
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^error 2 example\.com\. A: no upstream answered, 127\.0\.0\.1:\d+ last: /);
    expect(lines[0]?.endsWith(`: ${reason}`)).toBe(true);
  });

  test('tells those that fit a pattern together, at the end of its interval', () => {
    vi.useFakeTimers();
    const { log, lines } = logged();
    const errors = new ErrorLog(
      { consolidate: [{ intervalMs: 60_000, pattern: /i\/o timeout$/, level: 'warn', showFirst: false }] },
      log,
    );
    for (let i = 0; i < 3; i++) errors.note(query, rcode.SERVFAIL, '192.0.2.1: i/o timeout');
    errors.note(query, rcode.SERVFAIL, 'something else');
    expect(lines).toEqual(['error 2 example.org. A: something else']);
    vi.advanceTimersByTime(60_000);
    expect(lines.at(-1)).toBe("warn 3 errors like 'i/o timeout$' occurred in last 60s");
    errors.note(query, rcode.SERVFAIL, '192.0.2.1: i/o timeout');
    errors.close();
    expect(lines.at(-1)).toMatch(/^warn 1 errors like/);
    vi.advanceTimersByTime(120_000);
    expect(lines).toHaveLength(3);
    vi.useRealTimers();
  });

  test('tells the first of an interval at once where it is to, and all together where there were more', () => {
    vi.useFakeTimers();
    const { log, lines } = logged();
    const errors = new ErrorLog(
      { consolidate: [{ intervalMs: 60_000, pattern: /timeout$/, level: 'warn', showFirst: true }] },
      log,
    );
    const fail = () => errors.note(query, rcode.SERVFAIL, 'timeout');
    fail();
    expect(lines).toEqual(['warn 2 example.org. A: timeout']);
    vi.advanceTimersByTime(60_000);
    expect(lines).toHaveLength(1);
    for (let i = 0; i < 3; i++) fail();
    expect(lines).toHaveLength(2);
    vi.advanceTimersByTime(60_000);
    expect(lines.slice(2)).toEqual(["warn 3 errors like 'timeout$' occurred in last 60s"]);
    vi.useRealTimers();
  });

  test('writes so many lines a second, and counts the others', () => {
    const { log, lines } = logged();
    let now = 5_000;
    const errors = new ErrorLog({ consolidate: [] }, log, () => now);
    for (let i = 0; i < 1_000; i++) errors.note(query, rcode.SERVFAIL, 'trouble');
    expect(lines).toHaveLength(50);
    now += 1_000;
    errors.note(query, rcode.SERVFAIL, 'trouble');
    expect(lines[50]).toBe('error 950 more errors occurred in one second');
    expect(lines).toHaveLength(52);
  });
});

describe('Responder', () => {
  test('fails one query, and answers the next, when a handler throws at once or later', async () => {
    const crashes: unknown[] = [];
    let kind = 'now';
    const broken: Handler = {
      handle: (exchange) => {
        if (kind === 'later')
          exchange.goOn(Promise.resolve(), () => {
            throw new Error('later');
          });
        else if (kind === 'now') throw new Error('now');
        else exchange.fail(rcode.NOERROR, '');
        return true;
      },
    };
    const responder = responderWith([broken], undefined, undefined, crashes);
    expect(rcodeOf(await ask(responder, hello))).toBe('SERVFAIL');
    kind = 'later';
    expect(rcodeOf(await ask(responder, hello))).toBe('SERVFAIL');
    kind = 'never';
    expect(rcodeOf(await ask(responder, hello))).toBe('NOERROR');
    expect(crashes.map(String)).toEqual(['Error: now', 'Error: later']);
  });
});
