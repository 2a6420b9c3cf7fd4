// gcr.io/google-samples/node-hello: greets on port 8080. A process of its own, so it imports nothing but Node.
import { createServer } from 'node:http';
import { hostname } from 'node:os';

const port = 8080;
const name = hostname();
let lastCame = 0;
// The header is an addition of ours: with it a client can see which Pod of a Service answered.
const server = createServer((request, response) => {
  lastCame = performance.now();
  request.resume();
  response.writeHead(200, { 'content-type': 'text/plain', 'x-pod-name': name });
  response.end('Hello Kubernetes!');
});
server.listen(port, () => process.stdout.write(`listening on port ${port}\n`));

// Endpoints leave a Service some milliseconds after their Pod is told to end, on a busy machine a second: a server is
// better still there until every node knows, which it can tell by nobody coming any more.
const quietMs = 500;
const longestMs = 5_000;

// As PID 1 a process is not ended by a signal it does not handle.
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => endWhenQuiet(performance.now()));
}

function endWhenQuiet(told: number): void {
  const end = Math.min(Math.max(told, lastCame) + quietMs, told + longestMs);
  const left = end - performance.now();
  if (left > 0) {
    setTimeout(() => endWhenQuiet(told), Math.ceil(left));
    return;
  }
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  setTimeout(() => process.exit(0), 1000).unref();
}
