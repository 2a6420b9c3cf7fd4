import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../../test/free-port.ts';
import { bundleTypeScript } from '../../test/run-typescript.ts';

let program: string;
beforeAll(() => {
  program = bundleTypeScript("import './src/images/agnhost.ts';");
});

const started: ChildProcess[] = [];
afterAll(() => {
  for (const child of started) child.kill('SIGKILL');
});

function start(...args: readonly string[]) {
  const child = spawn(process.execPath, ['-', ...args]);
  started.push(child);
  child.stdin.end(program);
  return child;
}

/** Started, with its HTTP answered. */
async function serving(...args: readonly string[]): Promise<ChildProcess> {
  const child = start(...args);
  await once(child.stdout, 'data');
  return child;
}

async function get(url: string): Promise<{ status: number; body: string }> {
  const response = await fetch(url, { headers: { connection: 'close' } });
  return { status: response.status, body: await response.text() };
}

async function askUdp(port: number, question: string): Promise<string> {
  const socket = createSocket('udp4');
  try {
    socket.send(question, port, '127.0.0.1');
    const [answer] = await once(socket, 'message', { signal: AbortSignal.timeout(10_000) });
    return String(answer);
  } finally {
    socket.close();
  }
}

describe('agnhost netexec', () => {
  let http: number;
  let udp: number;
  beforeAll(async () => {
    [http, udp] = [await freePort(), await freePort()];
    const listen = '--udp-listen-addresses=127.0.0.1,127.0.0.1,';
    await serving('netexec', `--http-port=${http}`, '--udp-port', `${udp}`, listen, '--enable-shell=true');
  });
  const dial = async (query: string) => get(`http://127.0.0.1:${http}/dial?${query}`);

  it('answers by UDP on the addresses it was given', async () => {
    expect(await askUdp(udp, 'hostname')).toBe(hostname());
    expect(await askUdp(udp, 'echo a b')).toBe('a b');
  });

  it('echoes with the status that was asked for', async () => {
    expect(await get(`http://127.0.0.1:${http}/echo?msg=no&code=503`)).toEqual({ status: 503, body: 'no' });
    expect((await get(`http://127.0.0.1:${http}/echo?msg=no&code=x`)).status).toBe(400);
    expect((await get(`http://127.0.0.1:${http}/shell?cmd=true`)).status).toBe(200);
  });

  it('asks others over HTTP and UDP, as often as it was told', async () => {
    const responses = (body: string) => JSON.parse(body).responses;
    const byHttp = await dial(`host=127.0.0.1&port=${http}&request=echo%3Fmsg=me&tries=2`);
    expect(responses(byHttp.body)).toEqual(['me', 'me']);
    const byUdp = await dial(`host=127.0.0.1&port=${udp}&protocol=udp&request=hostname`);
    expect(responses(byUdp.body)).toEqual([hostname()]);
  });

  it('tells what became of those that nobody answered', async () => {
    const nobody = await freePort();
    for (const protocol of ['http', 'udp']) {
      const { status, body } = await dial(`host=127.0.0.1&port=${nobody}&protocol=${protocol}&request=hostname`);
      expect([status, JSON.parse(body)]).toEqual([200, { errors: [expect.stringContaining('ECONNREFUSED')] }]);
    }
  });

  it.each(['host=127.0.0.1&port=1', 'port=1&request=x', 'host=a&port=b&request=x', 'host=a&port=1&request=x&tries=0'])(
    'has nothing to ask with %s',
    async (query) => {
      expect((await dial(query)).status).toBe(400);
    },
  );

  it('ends when told, unless it is to go on for a while', async () => {
    const args = ['netexec', `--http-port=${await freePort()}`, '--udp-port=-1'];
    const quick = await serving(...args);
    quick.kill('SIGTERM');
    expect(await once(quick, 'exit')).toEqual([0, null]);
    const slow = await serving(...args, '--delay-shutdown=1');
    const told = Date.now();
    slow.kill('SIGTERM');
    expect(await once(slow, 'exit')).toEqual([0, null]);
    expect(Date.now() - told).toBeGreaterThanOrEqual(1000);
  });
});

describe('agnhost serve-hostname', () => {
  it('says its name over HTTP and UDP', async () => {
    const port = await freePort();
    await serving('serve-hostname', '--port', `${port}`, '--udp');
    expect(await get(`http://127.0.0.1:${port}/any`)).toEqual({ status: 200, body: hostname() });
    expect(await askUdp(port, 'whatever')).toBe(hostname());
  });

  it('says it over TCP in place of HTTP', async () => {
    const port = await freePort();
    start('serve-hostname', `--port=${port}`, '--http=false', '--tcp');
    const answer = async () => text(await connected(port));
    await expect.poll(() => answer().catch(() => undefined), { timeout: 20_000 }).toBe(hostname());
  });
});

async function connected(port: number) {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

describe('agnhost', () => {
  it.each([
    [['netexec', '--udp-listen-addresses=here'], 'here: is not an IP address'],
    [['netexec', '--http-port=0'], 'is not a port'],
    [['netexec', '--delay-shutdown=long'], 'is not a number of seconds'],
    [['netexec', '--no-such'], 'no-such'],
    [['porter'], 'netexec, serve-hostname and pause'],
  ])('%j ends with the reason', async (args, reason) => {
    const child = start(...args);
    const [said, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')]);
    expect([code, said]).toEqual([2, expect.stringContaining(reason)]);
  });
});
