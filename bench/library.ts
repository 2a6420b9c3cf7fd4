// How long a test waits for its cluster: from the call of `startCluster()` until nodes and DNS are Ready, and until
// `stop()` is done. `npm run bench library [TIMES]`
import { startCluster } from '../src/library/main.ts';
import { formatTable, quantile } from './shared/figures.ts';

const starts: number[] = [];
const stops: number[] = [];
for (let i = 0; i < Number(process.argv[2] ?? 20); i++) {
  const began = performance.now();
  const cluster = await startCluster();
  const ready = performance.now();
  await cluster.stop();
  starts.push(ready - began);
  stops.push(performance.now() - ready);
}
console.log(
  formatTable([
    {
      'start ms': quantile(starts, 0.5),
      least: quantile(starts, 0),
      most: quantile(starts, 1),
      'stop ms': quantile(stops, 0.5),
    },
  ]),
);
