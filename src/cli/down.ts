import { existsSync } from 'node:fs';
import { clusterNames, clusterPaths } from '../cluster/state.ts';
import { stopCluster } from '../cluster/stop.ts';

/** Stops one cluster or all; a cluster that is not there is no error, so that scripts can call it twice. */
export async function down(options: {
  readonly name: string;
  readonly all?: true;
  readonly keepData?: true;
}): Promise<void> {
  const keepData = options.keepData === true;
  const names = options.all === true ? clusterNames() : [options.name];
  for (const name of names) {
    const paths = clusterPaths(name);
    if (!existsSync(paths.dir)) {
      console.log(`There is no cluster ${name}.`);
      continue;
    }
    const was = await stopCluster(paths, { keepData });
    const data = keepData ? `Its objects are kept in ${paths.data}.` : 'Nothing of it is left.';
    console.log(was === 'running' ? `Cluster ${name} is down. ${data}` : `Cluster ${name} was not running. ${data}`);
  }
  if (names.length === 0) console.log('There are no clusters.');
}
