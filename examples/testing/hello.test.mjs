// A test of something that runs on Kubernetes, with `node --test examples/testing/`. In a project of yours, the import
// is the same, with signalbox among its devDependencies.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { startCluster } from 'signalbox/testing';

const manifest = fileURLToPath(new URL('../hello.yaml', import.meta.url));
let cluster;
before(async () => {
  cluster = await startCluster({ nodes: 2 });
  await cluster.apply(manifest);
});
after(() => cluster?.stop());

test('the Service answers by its address, from a node', async () => {
  const service = await cluster.client.get('services', { namespace: 'default', name: 'hello-service' });
  const { stdout } = await cluster.exec('node/node-2', ['curl', '-s', '-m5', `http://${service.spec.clusterIP}/`]);
  assert.equal(stdout, 'Hello Kubernetes!');
});

test('a Pod that goes is replaced', async () => {
  const [pod] = (await cluster.client.list('pods', { namespace: 'default' })).items;
  await cluster.client.delete('pods', { namespace: 'default', name: pod.metadata.name });
  await cluster.waitFor('three endpoints without the Pod that went', async (client) => {
    const [slice] = (await client.list('endpointSlices', { labelSelector: 'kubernetes.io/service-name=hello-service' }))
      .items;
    const ready = slice.endpoints.filter(({ conditions }) => conditions.ready);
    return ready.length === 3 && ready.every(({ targetRef }) => targetRef.name !== pod.metadata.name);
  });
});
