import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Outcome, root, run, Signalbox } from './signalbox.ts';

let box: Signalbox;
beforeEach(() => {
  box = new Signalbox();
});
afterEach(() => box.close());

/** What a page tells its reader to type: its blocks marked `sh`, one after the other. */
function commandsOf(page: string): string {
  const text = readFileSync(join(root, page), 'utf8');
  return [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block).join('');
}

/** Types it into one shell in the checkout, whose first failing command ends it; its errors tell each step, with the time. */
function type(commands: string): Promise<Outcome> {
  const strict = "set -eEuxo pipefail; PS4='+ $EPOCHREALTIME '\n";
  // What a page leaves in the background would hold the output open when one of its commands has failed.
  const tidy = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n";
  const env = { ...box.env, KUBECONFIG: '' };
  return run('bash', ['-c', `cd '${root}'\n${strict}${tidy}${commands}`], { env, timeoutMs: 280_000 });
}

describe('README.md', () => {
  test('can be followed from `npm run demo` to `signalbox down`', async () => {
    const { status, stdout, stderr } = await type(commandsOf('README.md'));
    expect({ status, stderr }).toMatchObject({ status: 0 });
    const demo = [...stdout.matchAll(/^ +(\d+) {2}(hello-\w+) {2}Hello Kubernetes!$/gm)];
    expect(demo.map(([, number]) => number)).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10']);
    expect(stdout).toMatch(/^service\/hello-service +ClusterIP/m);
    expect(stdout).toContain('replicaset.apps/hello scaled');
    expect(stdout).toContain('table ip signalbox {');
    expect(stdout).toContain('Cluster default is down. Nothing of it is left.');
  });
});

describe('docs/testing.md', () => {
  test('can be typed as it stands', async () => {
    expect(await type(commandsOf('docs/testing.md'))).toMatchObject({ status: 0 });
  });
});

describe('docs/dns.md', () => {
  test('can be typed as it stands', async () => {
    const { status, stdout, stderr } = await type(commandsOf('docs/dns.md'));
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toContain('\n10.96.0.20\nhello.default.svc.cluster.local.\n');
    expect(stdout).toContain('status: NXDOMAIN');
    expect(stdout).toMatch(/^coredns_dns_responses_total\{.*rcode="NXDOMAIN",plugin="kubernetes"\} 1$/m);
  });
});

describe('docs/publish.md', () => {
  test('can be typed as it stands', async () => {
    const { status, stdout, stderr } = await type(commandsOf('docs/publish.md'));
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout).toContain('Hello Kubernetes!10.96.0.1\n');
    expect(stdout).toMatch(/"url": "dns:\/\/127\.0\.0\.1:\d+"/);
  });
});

describe('docs/command-line.md', () => {
  test('can be typed as it stands', async () => {
    const { status, stdout, stderr } = await type(commandsOf('docs/command-line.md'));
    expect({ status, stderr }).toMatchObject({ status: 0 });
    expect(stdout.match(/Hello Kubernetes!/g)).toHaveLength(3);
    expect(stdout).toMatch(/^ {2}node-3 +192\.168\.101\.5 +Pods 10\.244\.3\.0\/24 +Ready$/m);
  });
});
