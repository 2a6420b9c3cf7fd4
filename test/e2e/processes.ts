import { readdirSync, readFileSync } from 'node:fs';

/** Processes whose environment or command line names this home: everything a cluster of ours started. */
export function processesOf(home: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => {
      try {
        const read = (file: string) => readFileSync(`/proc/${pid}/${file}`, 'latin1');
        return read('environ').includes(`SIGNALBOX_HOME=${home}`) || read('cmdline').includes(`${home}/`);
      } catch {
        return false;
      }
    });
}
