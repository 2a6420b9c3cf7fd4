// What the way through `up --publish` costs: new connections a second and throughput of a Pod's node port from this machine
// through the publisher, and from the client host of the cluster, which the kernel alone leads there, in turn.
// `npm run bench publish [ROUNDS]`
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { startCluster, type TestCluster } from '../src/library/main.ts';
import { formatTable } from './shared/figures.ts';
import { connectionsASecond, type EchoAddress, serveEcho, throughput } from './shared/load.ts';

interface Figures {
  readonly connections: number;
  readonly megabytes: number;
}

const [, ownFile = '', role, host = '', port] = process.argv;
const nodePort = 32_100;

if (role === 'endpoint') await serveEcho({ host: '0.0.0.0', port: 8080 });
else if (role === 'load') console.log(JSON.stringify(await load({ host, port: Number(port) })));
else await measure(Number(role ?? 5));

async function load(echo: EchoAddress): Promise<Figures> {
  return { connections: await connectionsASecond(echo), megabytes: await throughput(echo) };
}

async function measure(rounds: number): Promise<void> {
  const cluster = await startCluster({ publish: true });
  try {
    await cluster.apply(echoService());
    const { hostname, port: published } = new URL(await cluster.url('echo'));
    const [node] = (await cluster.client.list('nodes')).items;
    const direct = { host: node?.status?.addresses?.[0]?.address ?? '', port: nodePort };
    const rows = [];
    for (let i = 0; i < rounds; i++) {
      const [a, b] = [await fromClient(cluster, direct), await fromHere({ host: hostname, port: Number(published) })];
      rows.push({
        'direct conn/s': a.connections,
        'published conn/s': b.connections,
        ratio: b.connections / a.connections,
        'direct MB/s': a.megabytes,
        'published MB/s': b.megabytes,
        'ratio ': b.megabytes / a.megabytes,
      });
    }
    console.log(formatTable(rows));
  } finally {
    await cluster.stop();
  }
}

function echoService() {
  const labels = { app: 'echo' };
  const ports = [{ port: 80, targetPort: 8080, nodePort }];
  const command = [process.execPath, ownFile, 'endpoint'];
  const readinessProbe = { tcpSocket: { port: 8080 }, periodSeconds: 1 };
  return [
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'echo' },
      spec: { type: 'NodePort', selector: labels, ports },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'echo', labels },
      spec: { containers: [{ name: 'echo', image: 'none', command, readinessProbe }] },
    },
  ];
}

function loadCommand({ host: to, port: at }: EchoAddress): readonly [string, ...string[]] {
  return [process.execPath, ownFile, 'load', to, `${at}`];
}

async function fromClient(cluster: TestCluster, echo: EchoAddress): Promise<Figures> {
  const { status, stdout, stderr } = await cluster.exec('client', loadCommand(echo), { timeoutMs: 120_000 });
  if (status !== 0) throw new Error(`the load ended with ${status}: ${stderr}`);
  return JSON.parse(stdout);
}

async function fromHere(echo: EchoAddress): Promise<Figures> {
  const [program, ...args] = loadCommand(echo);
  return JSON.parse((await promisify(execFile)(program, args)).stdout);
}
