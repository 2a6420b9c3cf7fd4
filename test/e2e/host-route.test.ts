import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { processesOf } from './processes.ts';
import { root, run, Signalbox } from './signalbox.ts';

let box: Signalbox;
beforeEach(() => {
  box = new Signalbox();
});
afterEach(() => box.close());

const isRoot = process.getuid?.() === 0;
/** A machine to be changed: not this one, but a network namespace of its own, in which its user is root. */
const machine = ['unshare', ...(isRoot ? [] : ['--user', '--map-root-user']), '--net', '--'];

/**
 * Types commands there, one after the other, in one shell, whose first failing command ends it. What follows a change in a
 * moment is asked for until it is there; for how long, the time-out of the shell says.
 */
function type(commands: string) {
  const env = { ...box.env, PATH: `${join(root, 'bin')}:${process.env.PATH}`, KUBECONFIG: '' };
  // Whatever comes in between, the cluster goes while its machine is there.
  const script = `set -eEuo pipefail\ntrap 'signalbox down --all >/dev/null' EXIT\ncd '${root}'\n${commands}`;
  const [program = '', ...args] = [...machine, 'bash', '-c', script];
  return run(program, args, { env, timeoutMs: 280_000 });
}

describe('signalbox up --host-route', () => {
  test('leads to Services, Pods, nodes and balancers, and leaves nothing when the cluster is killed', async () => {
    const { status, stdout, stderr } = await type(`
ip link set lo up
signalbox up --host-route --nodes 2 -f examples/hello.yaml > /dev/null
export KUBECONFIG=$(signalbox kubeconfig)
kubectl expose replicaset hello --name=balanced --type=LoadBalancer --port=80 --target-port=8080 > /dev/null
kubectl wait service/balanced --for=jsonpath='{.status.loadBalancer.ingress[0].ip}' --timeout=60s > /dev/null
of() { kubectl get "$1" -o "jsonpath={$2}"; }
for host in "$(of service/hello-service .spec.clusterIP)" "$(of service/balanced '.status.loadBalancer.ingress[0].ip')" \\
    "$(of pods '.items[0].status.podIP'):8080" "$(of node/node-2 '.status.addresses[0].address'):$(of service/balanced '.spec.ports[0].nodePort')"; do
  until curl -sSf -m 5 "http://$host" 2> /dev/null; do sleep 0.2; done
  echo " from $host"
done
until dig @10.96.0.10 +short hello-service.default.svc.cluster.local | grep '^10'; do sleep 0.2; done
signalbox status | grep 'routed by'
kill -9 "$(node -p 'JSON.parse(require("fs").readFileSync(process.argv[1])).process.pid' "$SIGNALBOX_HOME/clusters/default/cluster.json")"
for try in {1..600}; do
  left="$(ip -o link | wc -l) device, $(ip route | wc -l) routes"
  [ "$left" = '1 device, 0 routes' ] && break
  sleep 0.1
done
echo "left: $left"
`);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout.match(/^Hello Kubernetes! from /gm)).toHaveLength(4);
    expect(stdout).toMatch(/^10\.\d+\.\d+\.\d+$/m);
    expect(stdout).toMatch(/^ {2}routed by {3}sbx-[0-9a-f]{8}$/m);
    expect(stdout).toContain('left: 1 device, 0 routes');
    expect(processesOf(box.home)).toEqual([]);
  });

  test('refuses networks that the machine has already, before anything starts', async () => {
    const { status, stderr } = await type(`
ip link add other type bridge
ip address add 10.100.0.1/24 dev other
signalbox up --host-route
`);
    expect(status).toBe(1);
    expect(stderr).toContain('10.96.0.0/12 of the cluster overlaps with 10.100.0.0/24');
    expect(stderr).toContain('[NETWORKS_OVERLAP]');
    expect(processesOf(box.home)).toEqual([]);
  });

  test.runIf(!isRoot)('is for root alone (only an ordinary user can see that)', async () => {
    const { status, stderr } = await box.run('up', '--host-route');
    expect(status).toBe(1);
    expect(stderr).toContain('[HOST_ROUTE_FORBIDDEN]');
    expect(processesOf(box.home)).toEqual([]);
  });
});
