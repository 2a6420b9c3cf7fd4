import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startLoad } from './load.ts';
import { Signalbox } from './signalbox.ts';

let box: Signalbox;
beforeEach(() => {
  box = new Signalbox();
});
afterEach(() => box.close());

const manifest = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
        - name: web
          image: gcr.io/google-samples/node-hello:1.0
          readinessProbe: {httpGet: {path: /, port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30082}]
`;

describe('a rolling update', () => {
  test('under load fails no request, neither from inside nor through a node port', async () => {
    await box.must('up', '-f', box.manifest('web.yaml', manifest));
    const ip = await box.kubectlMust('get', 'service', 'web', '-o', 'jsonpath={.spec.clusterIP}');
    const names = await box.kubectlMust('get', 'pods', '-l', 'app=web', '-o', 'jsonpath={.items[*].metadata.name}');
    const loads = [
      await startLoad(box, `http://${ip}`, { perSecond: 50 }),
      await startLoad(box, 'http://192.168.101.4:30082', { perSecond: 50, from: 'client' }),
    ];
    await box.kubectlMust('rollout', 'restart', 'deployment/web');
    await box.kubectlMust('rollout', 'status', 'deployment/web', '--timeout=90s');
    // The last of the old Pods end after that.
    await box.kubectlMust('wait', '--for=delete', '--timeout=60s', ...names.split(' ').map((name) => `pod/${name}`));
    for (const load of loads) {
      const outcomes = await load.end();
      expect(outcomes).toEqual({ 'status 200': expect.any(Number) });
      expect(outcomes['status 200']).toBeGreaterThan(50);
    }
  });
});
