// registry.k8s.io/e2e-test-images/agnhost, the part that Service tests use: `netexec` answers questions about who
// asks and who answers, over HTTP and UDP. (`pause` is no program of ours: a shell does it.) A process of its own, so it imports nothing but Node.
import { execFile } from 'node:child_process';
import { createSocket, type Socket } from 'node:dgram';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { hostname } from 'node:os';
import { parseArgs } from 'node:util';

const maxShellOutput = 1 << 20;
const shellTimeoutMs = 30_000;

interface NetexecOptions {
  readonly httpPort: number;
  /** 0: no UDP. */
  readonly udpPort: number;
  /** Whether `/shell?cmd=` runs commands. */
  readonly shell: boolean;
}

function portOption(name: string, text: string, least: number): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  if (!(port >= least && port <= 65535)) fail(`--${name} ${text}: is not a port; give a number from ${least} to 65535`);
  return port;
}

function fail(message: string): never {
  process.stderr.write(`agnhost: ${message}\n`);
  process.exit(2);
}

function netexecOptions(args: readonly string[]): NetexecOptions {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        'http-port': { type: 'string', default: '8080' },
        'udp-port': { type: 'string', default: '8081' },
        'enable-shell': { type: 'boolean', default: false },
      },
    });
    return {
      httpPort: portOption('http-port', values['http-port'], 1),
      udpPort: values['udp-port'] === '-1' ? 0 : portOption('udp-port', values['udp-port'], 0),
      shell: values['enable-shell'],
    };
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

/** `address:port` of the peer; an IPv4 peer of a dual-stack socket in its IPv4 form, IPv6 in brackets. */
function peer(address: string, port: number): string {
  const plain = address.startsWith('::ffff:') ? address.slice('::ffff:'.length) : address;
  return plain.includes(':') ? `[${plain}]:${port}` : `${plain}:${port}`;
}

interface Answer {
  readonly status: number;
  readonly text: string;
}

function ok(text: string): Answer {
  return { status: 200, text };
}

function shell(command: string): Promise<Answer> {
  const limits = { timeout: shellTimeoutMs, maxBuffer: maxShellOutput };
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', command], limits, (error, stdout, stderr) => {
      const result = { output: stdout + stderr, ...(error === null ? {} : { error: error.message }) };
      resolve(ok(JSON.stringify(result)));
    });
  });
}

function answerTo(url: URL, request: IncomingMessage, options: NetexecOptions): Answer | Promise<Answer> {
  switch (url.pathname) {
    case '/':
      return ok(`NOW: ${new Date().toISOString()}`);
    case '/hostname':
    case '/hostName':
      return ok(hostname());
    case '/clientip':
      return ok(peer(request.socket.remoteAddress ?? '', request.socket.remotePort ?? 0));
    case '/echo':
      return ok(url.searchParams.get('msg') ?? '');
    case '/healthz':
      return ok('ok');
    case '/shell':
      if (!options.shell) return { status: 403, text: 'start netexec with --enable-shell to run commands\n' };
      return shell(url.searchParams.get('cmd') ?? url.searchParams.get('shellCommand') ?? '');
    default:
      return { status: 404, text: 'netexec knows /, /hostname, /clientip, /echo?msg=, /healthz and /shell?cmd=\n' };
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, options: NetexecOptions): Promise<void> {
  request.resume();
  const { status, text } = await answerTo(new URL(request.url ?? '/', 'http://netexec'), request, options);
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8' });
  response.end(text);
}

function udpAnswer(message: string, from: { readonly address: string; readonly port: number }): string {
  const [, command = '', text = ''] = /^\s*(\S*)\s?([\s\S]*)$/.exec(message) ?? [];
  switch (command.toLowerCase()) {
    case 'hostname':
      return hostname();
    case 'clientip':
      return peer(from.address, from.port);
    case 'echo':
      return text.trimEnd();
    default:
      return `netexec knows hostname, clientip and echo TEXT, not ${JSON.stringify(command)}`;
  }
}

/** Both families on one socket; IPv4 alone where the kernel has no IPv6. `current` follows the socket in use. */
function serveUdp(port: number, type: 'udp6' | 'udp4', current: (socket: Socket) => void): void {
  const socket = createSocket(type);
  current(socket);
  socket.on('message', (message, from) => socket.send(udpAnswer(message.toString(), from), from.port, from.address));
  socket.on('error', (error: NodeJS.ErrnoException) => {
    if (type === 'udp4' || error.code !== 'EAFNOSUPPORT') fail(error.message);
    socket.close();
    serveUdp(port, 'udp4', current);
  });
  socket.bind(port);
}

// As PID 1 a process is not ended by a signal it does not handle.
function onTermination(end: () => void): void {
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

function netexec(options: NetexecOptions): void {
  const server: Server = createServer((request, response) => serve(request, response, options));
  server.on('error', (error) => fail(error.message));
  server.listen(options.httpPort, () => process.stdout.write(`HTTP on port ${options.httpPort}\n`));
  let udp: Socket | undefined;
  if (options.udpPort !== 0) {
    serveUdp(options.udpPort, 'udp6', (socket) => {
      udp = socket;
    });
  }
  onTermination(() => {
    udp?.close();
    server.close(() => process.exit(0));
    server.closeIdleConnections();
    setTimeout(() => process.exit(0), 1000).unref();
  });
}

const [command, ...args] = process.argv.slice(2);
if (command === 'netexec') netexec(netexecOptions(args));
else fail(`${command ?? '(no command)'}: this built-in agnhost has netexec and pause`);
