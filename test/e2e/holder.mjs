// Holds clusters for a test: `node holder.mjs HOME SIGNALBOX`. Standard input is a pipe that nobody but the test's process
// has the other end of. When that process ends, however it does, the pipe does too: then the clusters of that home are taken
// down and the home is removed.
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';

const [home, signalbox] = process.argv.slice(2);
const letGo = () => {
  if (existsSync(home)) {
    spawnSync(process.execPath, [signalbox, 'down', '--all'], {
      env: { ...process.env, SIGNALBOX_HOME: home },
      stdio: 'ignore',
      timeout: 60_000,
    });
    rmSync(home, { recursive: true, force: true });
  }
  process.exit();
};
process.stdin.on('end', letGo).on('error', letGo).resume();
