// From `signalbox up` to the first answered request, three nodes and examples/hello.yaml, from a cold start; and the
// memory of the whole cluster. `npm run bench start [RUNS]`
import { BenchCluster, summary } from './shared/cluster.ts';

const runs = Number(process.argv[2] ?? 7);
const up: number[] = [];
const answered: number[] = [];
const memory: number[] = [];
const byCommand = new Map<string, number[]>();

for (let run = 0; run < runs; run++) {
  const cluster = new BenchCluster();
  const start = performance.now();
  cluster.run('up', '-f', 'examples/hello.yaml');
  up.push(performance.now() - start);
  const pod = JSON.parse(cluster.run('status', '-o', 'json')).pods.names.find((name: string) =>
    name.startsWith('default/hello'),
  );
  const before = performance.now();
  cluster.run(
    'exec',
    `pod/${pod.slice('default/'.length)}`,
    '--',
    'curl',
    '-sSf',
    '--retry',
    '0',
    'http://hello-service',
  );
  // What the looking-up of a Pod's name took is not the cluster's; the request is, with the start of its client.
  answered.push((up.at(-1) ?? 0) + performance.now() - before);
  const processes = cluster.processes();
  memory.push(processes.reduce((sum, { pssKib }) => sum + pssKib / 1024, 0));
  for (const { command, pssKib } of processes)
    byCommand.set(command, [...(byCommand.get(command) ?? []), pssKib / 1024]);
  cluster.close();
}

const line = (name: string, unit: string, values: readonly number[]) => {
  const { median, min, max } = summary(values);
  console.log(`${name.padEnd(44)} ${median.toFixed(0).padStart(6)} ${unit}   (${min.toFixed(0)}–${max.toFixed(0)})`);
};
console.log(`${runs} runs, median (least–most)`);
line('`up` returns: nodes, DNS and Pods Ready', 'ms', up);
line('first answered request, by DNS name, curl', 'ms', answered);
line('memory of the cluster, sum of PSS', 'MiB', memory);
for (const [command, values] of [...byCommand].sort((a, b) => b[1].length - a[1].length)) {
  line(`  ${values.length / runs} × ${command}`, 'MiB', values);
}
