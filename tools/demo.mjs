// `npm run demo`: from a clean clone to ten answered requests through a Service.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { fail, hasCommand, root, setUp } from './setup.mjs';

const signalbox = join(root, 'bin/signalbox');

/** Runs the command line; gives what it printed, or ends the demo with its failure. */
function call(args, stdio = ['ignore', 'pipe', 'inherit']) {
  const { status, stdout, error } = spawnSync(process.execPath, [signalbox, ...args], {
    cwd: root,
    stdio,
    encoding: 'utf8',
  });
  if (error) fail(error.message);
  if (status !== 0) process.exit(status ?? 1);
  return stdout ?? '';
}

setUp();
console.log('\nA cluster of three nodes, and examples/hello.yaml: three Pods behind the Service hello-service.\n');
call(['up', '-f', join(root, 'examples/hello.yaml')], 'inherit');

console.log('\nTen requests from the first Pod to http://hello-service, each a new connection:\n');
const { pods } = JSON.parse(call(['status', '-o', 'json']));
const from = pods.names.find((name) => name.startsWith('default/hello-'))?.slice('default/'.length);
if (from === undefined) fail('there is no hello Pod');
const client = `
  const http = require('node:http');
  const request = (number) => new Promise((resolve, reject) => {
    http.get('http://hello-service', { agent: false, timeout: 5000 }, (answer) => {
      answer.setEncoding('utf8');
      let text = '';
      answer.on('data', (data) => { text += data; });
      answer.on('end', () => {
        console.log(String(number).padStart(4) + '  ' + answer.headers['x-pod-name'] + '  ' + text.trim());
        resolve();
      });
    }).on('error', reject);
  });
  // Name and rules follow the Pods that are Ready in a moment.
  const until = Date.now() + 20000;
  const first = () => request(1).catch((error) => {
    if (Date.now() > until) throw error;
    return new Promise((resolve) => setTimeout(resolve, 100)).then(first);
  });
  (async () => { await first(); for (let number = 2; number <= 10; number++) await request(number); })()
    .catch((error) => { console.error(error.message); process.exit(1); });`;
process.stdout.write(call(['exec', `pod/${from}`, '--', process.execPath, '-e', client]));

console.log(`
The cluster goes on. Have a look:

  export PATH=$PWD/bin:$PATH KUBECONFIG=$(bin/signalbox kubeconfig)${hasCommand('kubectl') ? '' : '     (kubectl is not installed here: https://kubernetes.io/docs/tasks/tools/)'}
  kubectl get pods,services,endpointslices -o wide
  kubectl delete pod ${from}              its successor answers in its place
  signalbox exec node/node-1 -- /usr/sbin/nft list ruleset    the rules in a node's kernel (package nftables)
  signalbox down                              leaves nothing behind
`);
