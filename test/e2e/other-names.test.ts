import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { root, run, Signalbox } from './signalbox.ts';

const box = new Signalbox();
afterAll(() => box.close());

describe('names outside the cluster', () => {
  test("are asked of the host's resolver, from inside a Pod, and so is that there is no such name", async () => {
    const resolvConf = box.manifest('resolv.conf', 'nameserver 127.0.0.1\n');
    const script = 'ip link set lo up && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"';
    const outcome = await run(
      'unshare',
      [
        ...['--user', '--map-root-user', '--net', '--mount', 'sh', '-c', script, 'sh', resolvConf],
        ...[process.execPath, join(root, 'test/e2e/with-resolver.mjs'), join(root, 'bin/signalbox'), 'example.test'],
      ],
      { env: box.env, cwd: root },
    );
    expect(outcome).toEqual({ status: 0, stdout: '192.0.2.53\nNXDOMAIN\n', stderr: '' });
  });
});
