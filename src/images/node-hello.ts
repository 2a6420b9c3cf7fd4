// gcr.io/google-samples/node-hello: greets on port 8080. A process of its own, so it imports nothing but Node.
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const port = 8080;
const name = hostname();
// The header is an addition of ours: with it a client can see which Pod of a Service answered.
const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { 'content-type': 'text/plain', 'x-pod-name': name });
  response.end('Hello Kubernetes!');
});
server.listen(port, () => process.stdout.write(`listening on port ${port}\n`));

// Endpoints leave a Service some milliseconds after their Pod is told to end, on a busy machine a second: until every
// node knows, a server that is asked is better still there.
const lameDuckMs = 2_000;

// As PID 1 a process is not ended by a signal it does not handle.
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    setTimeout(() => {
      server.close(() => process.exit(0));
      server.closeIdleConnections();
      setTimeout(() => process.exit(0), 1000).unref();
    }, lameDuckMs);
  });
}
