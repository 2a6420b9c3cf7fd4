import { chmodSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { makeFolder } from './make-folder.ts';

/**
 * Writes a file in one step: whoever reads it sees all of the old content or all of the new, also when this process is
 * killed meanwhile. Its folder is made where there is none. `mode` counts whatever the file had before and whatever
 * the umask takes away; without one only the owner may read it.
 * @throws Error of `node:fs`; then the old file is as it was
 */
export function replaceFile(path: string, content: string | Uint8Array, mode = 0o600): void {
  makeFolder(dirname(path));
  const draft = `${path}.${process.pid}.tmp`;
  try {
    // One that was killed may have had this process id, and left its draft.
    rmSync(draft, { force: true });
    writeFileSync(draft, content, { mode, flag: 'wx' });
    chmodSync(draft, mode);
    renameSync(draft, path);
  } catch (error) {
    rmSync(draft, { force: true });
    throw error;
  }
}
