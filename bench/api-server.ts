/**
 * What an API server does, over LMDB and over etcd (Debian: `etcd-server`) in one run: creates of Services a second
 * from 16 connections and what they cost, a list of all of them, one change until 500 watchers have it, memory. Server and load are two
 * processes on the same machine.
 *
 *     npm run bench api-server -- [services]
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:https';
import { startTestServer, type TestClientConfig } from '../src/apiserver/test-server.ts';
import { startEtcd } from '../src/store/etcd/start-etcd.ts';
import { connectPoster, type Poster } from './shared/poster.ts';

const connections = 16;
const watchers = 500;
const changes = 20;
const services = '/api/v1/namespaces/default/services';

interface Figures {
  readonly createsPerSecond: number;
  /** Of all threads of the server, in ms: what is left of the creates on a machine that does other things too. */
  readonly cpuOfThousand: number;
  /** Of the load, in ms, on the same processors. */
  readonly loadCpuOfThousand: number;
  readonly listMs: number;
  readonly fanOutMs: number;
  readonly serverMb: number;
}

/** Answers with the client's configuration, and on later messages with the memory in use, in MB, or the CPU used, in ms. */
async function serve(endpoint: string): Promise<void> {
  const store = endpoint === '' ? {} : { store: { etcd: { endpoints: [endpoint], prefix: '/bench' } } };
  const server = await startTestServer(store);
  process.on('message', (message) => {
    if (message === 'memory') process.send?.(process.memoryUsage().rss / 1e6);
    else if (message === 'cpu') process.send?.(cpuMs());
    else void server.close().then(() => process.exit());
  });
  process.send?.(server.admin);
}

async function measure(count: number, endpoint: string): Promise<Figures> {
  const child = fork(process.argv[1] ?? '', ['serve', endpoint]);
  const exited = once(child, 'exit');
  const [admin] = (await once(child, 'message')) as [TestClientConfig];
  const client = clientOf(admin);
  try {
    await client.send('GET', services);
    const posters = await Promise.all(Array.from({ length: connections }, () => connectPoster(admin)));
    const before = { server: await ask(child, 'cpu'), load: cpuMs() };
    const createsPerSecond = await createAll(posters, count);
    const perThousand = (used: number) => (used / count) * 1000;
    const cpuOfThousand = perThousand((await ask(child, 'cpu')) - before.server);
    const loadCpuOfThousand = perThousand(cpuMs() - before.load);
    for (const poster of posters) poster.close();
    const lists: number[] = [];
    for (let i = 0; i < 5; i++) lists.push(await timed(() => client.send('GET', services)));
    const fanOutMs = await fanOut(client);
    const serverMb = await ask(child, 'memory');
    return { createsPerSecond, cpuOfThousand, loadCpuOfThousand, listMs: median(lists), fanOutMs, serverMb };
  } finally {
    client.agent.destroy();
    child.send('stop');
    await exited;
  }
}

async function createAll(posters: readonly Poster[], count: number): Promise<number> {
  let next = 0;
  const ms = await timed(() =>
    Promise.all(
      posters.map(async (poster) => {
        while (next < count) await poster.post(services, service(`service-${next++}`));
      }),
    ),
  );
  return (count / ms) * 1000;
}

/** One change until the last of the watchers has it. */
async function fanOut(client: Client): Promise<number> {
  const list = JSON.parse(await client.send('GET', services)) as { metadata: { resourceVersion: string } };
  let seen = 0;
  let done = () => {};
  const count = (chunk: Buffer) => {
    for (const byte of chunk) if (byte === 10) seen++;
    if (seen >= watchers) done();
  };
  const path = `${services}?watch=1&resourceVersion=${list.metadata.resourceVersion}`;
  // Not all at once: a server takes only so many handshakes.
  for (let i = 0; i < watchers; i += 25) await Promise.all(Array.from({ length: 25 }, () => client.watch(path, count)));
  const times: number[] = [];
  for (let i = 0; i < changes; i++) {
    seen = 0;
    const all = new Promise<void>((resolve) => {
      done = resolve;
    });
    times.push(await timed(() => Promise.all([all, client.send('POST', services, service(`change-${i}`))])));
  }
  return median(times);
}

type Client = ReturnType<typeof clientOf>;

function clientOf({ server, certificateAuthority, clientCertificate, clientKey }: TestClientConfig) {
  const { hostname: host, port } = new URL(server);
  const agent = new Agent({ keepAlive: true, ca: certificateAuthority, cert: clientCertificate, key: clientKey });
  const open = (method: string, path: string, body = '') =>
    new Promise<import('node:http').IncomingMessage>((resolve, reject) => {
      const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
      request({ agent, host, port, method, path, headers }, resolve).on('error', reject).end(body);
    });
  return {
    agent,
    send: async (method: string, path: string, body?: string): Promise<string> => {
      const answer = await open(method, path, body);
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk as Buffer);
      const text = Buffer.concat(chunks).toString();
      if ((answer.statusCode ?? 500) >= 300) throw new Error(`${method} ${path}: ${answer.statusCode} ${text}`);
      return text;
    },
    watch: async (path: string, onData: (chunk: Buffer) => void): Promise<void> => {
      const answer = await open('GET', path);
      answer.on('data', onData).on('error', () => {});
    },
  };
}

function service(name: string): string {
  const ports = [{ name: 'http', port: 80, targetPort: 8080 }];
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: name }, ports },
  });
}

/** What all threads of this process have used, in ms. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function ask(child: ChildProcess, message: string): Promise<number> {
  child.send(message);
  const [answer] = (await once(child, 'message')) as [number];
  return answer;
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN;
}

async function run(count: number): Promise<void> {
  const lmdb = await measure(count, '');
  const cluster = await startEtcd();
  const etcd = await measure(count, cluster.endpoint).finally(() => cluster.remove());
  const row = (what: string, of: keyof Figures, unit: string) =>
    console.log(
      `${what.padEnd(44)} ${lmdb[of].toFixed(0).padStart(7)} ${etcd[of].toFixed(0).padStart(7)} ${unit.padEnd(3)} ${(etcd[of] / lmdb[of]).toFixed(2)}`,
    );
  console.log(`${'over'.padEnd(44)} ${'LMDB'.padStart(7)} ${'etcd'.padStart(7)}     ratio`);
  row(`creates from ${connections} connections`, 'createsPerSecond', '/s');
  row('CPU of the server for 1,000 creates', 'cpuOfThousand', 'ms');
  row('CPU of the load for 1,000 creates', 'loadCpuOfThousand', 'ms');
  row(`list of ${count} Services`, 'listMs', 'ms');
  row(`one change to the last of ${watchers} watchers`, 'fanOutMs', 'ms');
  row('memory of the server at the end', 'serverMb', 'MB');
}

const [what, argument] = process.argv.slice(2);
if (what === 'serve') await serve(argument ?? '');
else await run(Number(what ?? 10_000));
