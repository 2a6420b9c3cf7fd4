// Runs commands of the command line on a "machine" whose resolver is ours: started in a network and mount namespace of
// its own, with /etc/resolv.conf naming 127.0.0.1, it serves example.test there. Prints what the last command printed.
import { spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { decode, encode } from 'dns-packet';

const [signalbox, name] = process.argv.slice(2);
const resolver = createSocket('udp4');
resolver.on('message', (query, from) => {
  const { id, questions } = decode(query);
  const known = questions[0].name === name && questions[0].type === 'A';
  const answers = known ? [{ type: 'A', name, ttl: 30, data: '192.0.2.53' }] : [];
  const flags = 0x180 | (known ? 0 : 3);
  resolver.send(encode({ type: 'response', id, flags, questions, answers }), from.port, from.address);
});
await new Promise((resolve) => resolver.bind(53, '127.0.0.1', resolve));

function call(...args) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [signalbox, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    let printed = '';
    child.stdout.on('data', (data) => {
      printed += data;
    });
    child.once('close', (status) =>
      status === 0 ? resolve(printed) : reject(new Error(`${args.join(' ')}: ${status}`)),
    );
  });
}

try {
  await call('up', '--nodes', '1', '-f', 'examples/hello.yaml');
  const { pods } = JSON.parse(await call('status', '-o', 'json'));
  const pod = pods.names.find((key) => key.startsWith('default/hello-')).slice('default/'.length);
  console.log((await call('exec', `pod/${pod}`, '--', 'dig', '+short', name)).trim());
  console.log(
    (await call('exec', `pod/${pod}`, '--', 'dig', '+noall', '+comments', `not.${name}`)).match(/status: (\w+)/)[1],
  );
} finally {
  await call('down');
  resolver.close();
}
