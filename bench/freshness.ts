// From a Pod's readiness to the rule in the kernel of every node: the time between the Pod's Ready condition arriving
// at a watch and the last node's kernel telling of its new generation. As root: it looks into the nodes' network
// namespaces. `npm run bench freshness [PODS]`
import type { Pod } from '../src/api/generated/types.ts';
import { connect } from '../src/client/client.ts';
import { createInformer } from '../src/client/informer.ts';
import { loadKubeconfig } from '../src/client/kubeconfig.ts';
import { watchNetlink } from '../src/kernel/netlink/watch.ts';
import { inNetns } from '../src/kernel/netns.ts';
import { BenchCluster, summary } from './shared/cluster.ts';

// include/uapi/linux/netfilter/nfnetlink.h, nf_tables.h
const NFNLGRP_NFTABLES = 7;
const NFT_MSG_NEWGEN = 0x0a0f;
const settleMs = 100;
const patienceMs = 5_000;

const count = Number(process.argv[2] ?? 50);
const cluster = new BenchCluster();
try {
  await measure();
} finally {
  cluster.close();
}

async function measure(): Promise<void> {
  cluster.run('up', '-f', 'examples/hello.yaml');
  const commits = new Map<number, number>();
  const proxies = cluster.processes().filter(({ command }) => command === 'proxy');
  const watches = proxies.map(({ pid }) =>
    inNetns(`/proc/${pid}/ns/net`, () =>
      watchNetlink('netfilter', [NFNLGRP_NFTABLES], {
        message: ({ type }) => type === NFT_MSG_NEWGEN && commits.set(pid, performance.now()),
        overrun: () => commits.set(pid, performance.now()),
      }),
    ),
  );
  const client = connect(await loadKubeconfig(cluster.kubeconfig));
  const pods = createInformer(client, 'pods', {});
  await pods.synced;
  const labels = { app: 'fresh' };
  await client.create('services', {
    metadata: { name: 'fresh', namespace: 'default' },
    spec: { selector: labels, ports: [{ port: 80, targetPort: 8080 }] },
  });
  await pause(settleMs);
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const name = `fresh-${i}`;
    const ready = readiness(name);
    commits.clear();
    await client.create('pods', {
      metadata: { name, namespace: 'default', labels },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'pause', image: 'registry.k8s.io/pause:3.10' }],
      },
    });
    const from = await ready;
    const until = performance.now() + patienceMs;
    while ([...commits.values()].filter((at) => at >= from).length < proxies.length && performance.now() < until)
      await pause(1);
    times.push(Math.max(...commits.values()) - from);
    await client.delete('pods', { namespace: 'default', name }, { gracePeriodSeconds: 0 });
    await pause(settleMs);
  }
  const { median, min, max } = summary(times);
  console.log(
    `${count} Pods: readiness → rule on all of ${proxies.length} nodes: median ${median.toFixed(1)} ms (${min.toFixed(1)}–${max.toFixed(1)})`,
  );
  for (const watch of watches) watch.close();
  pods.stop();
  client.close();

  function readiness(name: string): Promise<number> {
    return new Promise((resolve) => {
      const stop = pods.onChange(({ current }) => {
        if (current?.metadata.name !== name || !isReady(current)) return;
        resolve(performance.now());
        setImmediate(() => stop());
      });
    });
  }
}

function isReady(pod: Pod): boolean {
  return pod.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') ?? false;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
