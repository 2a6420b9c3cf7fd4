import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { expectGolden } from '../golden/golden.ts';
import { type ControlPlane, type SimulatedAgents, simulateAgents, startControlPlane } from './control-plane.ts';

const folder = join(import.meta.dirname, '../golden/kubectl');

/** The kubectl that wrote down the session; neighbours print the same. */
const minors = [31, 32, 33];
const version = spawnSync('kubectl', ['version', '--client', '-o', 'json']);
const minor = version.status === 0 ? Number.parseInt(JSON.parse(String(version.stdout)).clientVersion.minor, 10) : 0;
const isKnown = minors.includes(minor);
if (!isKnown)
  console.warn(`skipped: the session with kubectl, which wants 1.${minors.join(', 1.')}; here is ${minor || 'none'}`);

let plane: ControlPlane;
let agents: SimulatedAgents;
let env: NodeJS.ProcessEnv;

beforeAll(async () => {
  plane = await startControlPlane();
  agents = await simulateAgents(plane.client, ['node-1', 'node-2']);
  const { admin, dir } = plane.server;
  const data = (text: string) => Buffer.from(text).toString('base64');
  const cluster = { server: admin.server, 'certificate-authority-data': data(admin.certificateAuthority) };
  const user = { 'client-certificate-data': data(admin.clientCertificate), 'client-key-data': data(admin.clientKey) };
  const kubeconfig = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'c', cluster }],
    users: [{ name: 'u', user }],
    contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
    'current-context': 'x',
  };
  const path = join(dir, 'kubeconfig');
  await writeFile(path, JSON.stringify(kubeconfig), { mode: 0o600 });
  env = { ...process.env, KUBECONFIG: path, KUBECACHEDIR: join(dir, 'cache') };
});
afterAll(async () => {
  agents.stop();
  await plane.close();
});

/** Runs a line of the session; what it prints, with its exit status where that is not 0. */
function run(line: string): Promise<string> {
  const [, ...words] = split(line);
  return new Promise((resolve) => {
    execFile('kubectl', words, { env, cwd: folder, timeout: 90_000 }, (error, out, err) => {
      const ended = error === null ? '' : `exit status ${error.code}\n`;
      resolve(normalise(`${closed(out)}${closed(err)}`) + ended);
    }).stdin?.end();
  });
}

/** Words end at blanks, but for those in single quotes. */
function split(line: string): string[] {
  return [...line.matchAll(/(?:'[^']*'|[^' ])+/g)].map(([word]) => word.replaceAll("'", ''));
}

const closed = (text: string) => (text === '' || text.endsWith('\n') ? text : `${text}\n`);

const tableWithAges = /^(NAMESPACE +)?(NAME|LAST SEEN)\b.*\b(AGE|MESSAGE|CREATED AT)\b/m;

/** The text without what differs from run to run. */
function normalise(text: string): string {
  const plain = text
    .replaceAll(/^WARNING: version difference.*\n/gm, '')
    // How far a rollout or a deletion is when one looks.
    .replaceAll(/^Waiting for deployment .*\n/gm, '')
    .replaceAll(/^(pod|namespace)\/\S+ condition met\n/gm, '')
    .replaceAll(/\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?( \+0000|Z)?/g, 'TIME')
    .replaceAll(/\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d \+0000/g, 'TIME')
    .replaceAll(/\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, 'UID')
    .replaceAll(/(resourceVersion"?: ?)"\d+"/g, '$1"N"')
    // Which Pod came first, and whether one came that was not needed in the end, is not said here.
    .replaceAll(/\b10\.244\.\d+\.\d+\b/g, 'POD-ADDRESS')
    .replaceAll(/https:\/\/127\.0\.0\.1:\d+/g, 'https://SERVER')
    .replaceAll(/\/\S*\/(LIVE|MERGED)-\d+/g, '$1')
    .replaceAll(/\b([a-z]+-[bcdfghjklmnpqrstvwxz2456789]{6,10})-[bcdfghjklmnpqrstvwxz2456789]{5}\b/g, '$1-RANDOM')
    .replaceAll(/ deleted from \S+ namespace$/gm, ' deleted');
  if (!tableWithAges.test(plain)) return plain;
  // Columns are as wide as what is in them.
  return plain
    .replaceAll(/\b(\d+[smhdy]){1,2}\b/g, 'AGE')
    .replaceAll(/ {2,}/g, '   ')
    .replaceAll(/ +$/gm, '');
}

describe.skipIf(!isKnown)('kubectl', () => {
  test('prints in a session of many commands what it prints with Kubernetes', { timeout: 240_000 }, async () => {
    const lines = readFileSync(join(folder, 'session.txt'), 'utf8').split('\n');
    let printed = '';
    let commands = 0;
    for (const line of lines) {
      if (line.startsWith('## ')) printed += `\n${line}\n`;
      else if (line.startsWith('// ')) printed += `${line}\n`;
      if (!line.startsWith('$ ')) continue;
      printed += `${line}\n${await run(line.slice(2))}`;
      commands++;
    }
    expect(commands).toBeGreaterThan(100);
    expectGolden('kubectl/session.txt', printed);
  });
});
