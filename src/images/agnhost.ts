// registry.k8s.io/e2e-test-images/agnhost, the part that Service tests use: `netexec` answers questions about who
// asks and who answers, over HTTP and UDP, and asks others; `serve-hostname` says who it is. (`pause` is no program of
// ours: a shell does it.) A process of its own, so it imports nothing but Node.
import { execFile } from 'node:child_process';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createServer, get, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTcpServer, isIP } from 'node:net';
import { hostname } from 'node:os';
import { text } from 'node:stream/consumers';
import { parseArgs } from 'node:util';

const maxShellOutput = 1 << 20;
const shellTimeoutMs = 30_000;

const dialTimeoutMs = 5_000;
const mostTries = 1_000;

interface NetexecOptions {
  readonly httpPort: number;
  /** 0: no UDP. */
  readonly udpPort: number;
  /** Where UDP is answered; none: on every address, of which the kernel chooses the answer's by the way back. */
  readonly udpAddresses: readonly string[];
  /** Whether `/shell?cmd=` runs commands. */
  readonly shell: boolean;
  /** Seconds to go on serving when told to end. */
  readonly delayShutdown: number;
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

function numberOption(name: string, text: string): number {
  if (!/^\d{1,6}$/.test(text)) fail(`--${name} ${text}: is not a number of seconds`);
  return Number(text);
}

/** Go's flags for yes and no may say which behind `=`. */
function withoutEquals(args: readonly string[]): string[] {
  return args.map((arg) => arg.replace(/^--([\w-]+)=true$/, '--$1').replace(/^--([\w-]+)=false$/, '--no-$1'));
}

/** What `read` makes of options; ends the program where there is something wrong with them. */
function readOptions<T>(read: () => T): T {
  try {
    return read();
  } catch (error) {
    return fail(error instanceof Error ? error.message : String(error));
  }
}

function netexecOptions(args: readonly string[]): NetexecOptions {
  return readOptions(() => {
    const { values } = parseArgs({
      args: withoutEquals(args),
      allowNegative: true,
      options: {
        'http-port': { type: 'string', default: '8080' },
        'udp-port': { type: 'string', default: '8081' },
        'udp-listen-addresses': { type: 'string', default: '' },
        'enable-shell': { type: 'boolean', default: false },
        'delay-shutdown': { type: 'string', default: '0' },
      },
    });
    return {
      httpPort: portOption('http-port', values['http-port'], 1),
      udpPort: values['udp-port'] === '-1' ? 0 : portOption('udp-port', values['udp-port'], 0),
      udpAddresses: addressesOption(values['udp-listen-addresses']),
      shell: values['enable-shell'],
      delayShutdown: numberOption('delay-shutdown', values['delay-shutdown']),
    };
  });
}

/** Each address once: a Pod of the node's network has the node's address as its own. */
function addressesOption(text: string): string[] {
  const addresses = text.split(',').filter((address) => address !== '');
  const wrong = addresses.find((address) => isIP(address) === 0);
  if (wrong !== undefined) fail(`--udp-listen-addresses ${wrong}: is not an IP address`);
  return [...new Set(addresses)];
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

function bad(text: string): Answer {
  return { status: 400, text: `${text}\n` };
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

/** Asks somebody else, `tries` times one after the other, and says what came of it. */
async function dial({ searchParams }: URL): Promise<Answer> {
  const parameter = (name: string, byDefault = '') => searchParams.get(name) || byDefault;
  const [host, port, request] = [parameter('host'), parameter('port'), parameter('request')];
  const tries = Number(parameter('tries', '1'));
  if (!(Number.isInteger(tries) && tries >= 1 && tries <= mostTries))
    return bad(`tries is a number from 1 to ${mostTries}`);
  if (request === '') return bad('request is missing');
  if (host === '' || !/^\d{1,5}$/.test(port)) return bad('host or port is missing, or wrong');
  const protocol = parameter('protocol', 'http').toLowerCase();
  const ask = protocol === 'http' ? dialHttp : protocol === 'udp' ? dialUdp : undefined;
  if (ask === undefined) return bad(`protocol is http or udp, not ${protocol}`);
  const responses: string[] = [];
  const errors: string[] = [];
  for (let i = 0; i < tries; i++) {
    await ask({ host, port: Number(port), request }).then(
      (response) => responses.push(response),
      (error) => errors.push(error instanceof Error ? error.message : String(error)),
    );
  }
  const some = (list: string[]) => (list.length === 0 ? undefined : list);
  return ok(JSON.stringify({ responses: some(responses), errors: some(errors) }));
}

interface Call {
  readonly host: string;
  readonly port: number;
  readonly request: string;
}

/** Over a connection of its own, so that each try is led anew. */
async function dialHttp({ host, port, request }: Call): Promise<string> {
  const name = host.includes(':') ? `[${host}]` : host;
  const options = { agent: false, signal: AbortSignal.timeout(dialTimeoutMs) };
  const asked = get(`http://${name}:${port}/${request}`, options);
  const [response] = await once(asked, 'response');
  return text(response);
}

async function dialUdp({ host, port, request }: Call): Promise<string> {
  const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
  try {
    const signal = AbortSignal.timeout(dialTimeoutMs);
    socket.connect(port, host);
    await once(socket, 'connect', { signal });
    socket.send(request);
    const [answer] = await once(socket, 'message', { signal });
    return String(answer);
  } finally {
    socket.close();
  }
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
    case '/dial':
      return dial(url);
    case '/echo':
      return echo(url.searchParams);
    case '/healthz':
      return ok('ok');
    case '/shell':
      if (!options.shell) return { status: 403, text: 'start netexec with --enable-shell to run commands\n' };
      return shell(url.searchParams.get('cmd') ?? url.searchParams.get('shellCommand') ?? '');
    default:
      return {
        status: 404,
        text: 'netexec knows /, /hostname, /clientip, /dial, /echo?msg=, /healthz and /shell?cmd=\n',
      };
  }
}

function echo(parameters: URLSearchParams): Answer {
  const code = parameters.get('code') || '200';
  if (!/^[2-5]\d\d$/.test(code)) return bad('code is a number from 200 to 599');
  return { status: Number(code), text: parameters.get('msg') ?? '' };
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

type Datagrams = (message: Buffer, from: RemoteInfo) => string;

/** Both families on one socket; IPv4 alone where the kernel has no IPv6. Resolves when it is answered. */
function serveUdpEverywhere(port: number, answer: Datagrams, type: 'udp6' | 'udp4' = 'udp6'): Promise<void> {
  const socket = answering(createSocket(type), answer);
  return new Promise((resolve) => {
    socket.on('error', (error: NodeJS.ErrnoException) => {
      if (type === 'udp4' || error.code !== 'EAFNOSUPPORT') fail(error.message);
      socket.close();
      resolve(serveUdpEverywhere(port, answer, 'udp4'));
    });
    socket.bind(port, resolve);
  });
}

/** Answers come from the address that was asked, which is not given where a socket has all of them. */
function serveUdpOn(address: string, port: number, answer: Datagrams): Promise<void> {
  const type = isIP(address) === 6 ? 'udp6' : 'udp4';
  const socket = answering(createSocket({ type, ipv6Only: type === 'udp6' }), answer);
  socket.on('error', (error) => fail(error.message));
  return new Promise((resolve) => socket.bind(port, address, resolve));
}

function answering(socket: Socket, answer: Datagrams): Socket {
  return socket.on('message', (message, from) => socket.send(answer(message, from), from.port, from.address));
}

// As PID 1 a process is not ended by a signal it does not handle.
function onTermination(end: () => void): void {
  process.once('SIGTERM', end);
  process.once('SIGINT', end);
}

async function netexec(options: NetexecOptions): Promise<void> {
  const server: Server = createServer((request, response) => serve(request, response, options));
  onTermination(() => {
    setTimeout(() => endWith(server), options.delayShutdown * 1000);
  });
  if (options.udpPort !== 0) await serveDatagrams(options);
  // Last: who is asked whether he is ready says so over HTTP.
  listen(server, options.httpPort);
}

async function serveDatagrams({ udpPort, udpAddresses }: NetexecOptions): Promise<void> {
  const answer: Datagrams = (message, from) => udpAnswer(message.toString(), from);
  if (udpAddresses.length === 0) await serveUdpEverywhere(udpPort, answer);
  else await Promise.all(udpAddresses.map((address) => serveUdpOn(address, udpPort, answer)));
}

function listen(server: Server, port: number): void {
  server.on('error', (error) => fail(error.message));
  server.listen(port, () => process.stdout.write(`HTTP on port ${port}\n`));
}

/** Ends the program when the requests have ended that are being answered, or a second later. */
function endWith(server: Server): void {
  server.close(() => process.exit(0));
  server.closeIdleConnections();
  setTimeout(() => process.exit(0), 1000);
}

/** Says the host's name to whoever asks, whatever the question is. */
async function serveHostname(args: readonly string[]): Promise<void> {
  const { port, ...serves } = readOptions(() => {
    const { values } = parseArgs({
      args: withoutEquals(args),
      allowNegative: true,
      options: {
        port: { type: 'string', default: '9376' },
        http: { type: 'boolean', default: true },
        tcp: { type: 'boolean', default: false },
        udp: { type: 'boolean', default: false },
        close: { type: 'boolean', default: false },
      },
    });
    return { ...values, port: portOption('port', values.port, 1) };
  });
  if (serves.tcp) {
    const server = createTcpServer((socket) => socket.on('error', () => {}).end(hostname()));
    server.on('error', (error) => fail(error.message));
    server.listen(port);
  }
  if (serves.udp) await serveUdpEverywhere(port, () => hostname());
  if (serves.http) {
    const headers = { 'content-type': 'text/plain; charset=utf-8', ...(serves.close ? { connection: 'close' } : {}) };
    listen(
      createServer((request, response) => {
        request.resume();
        response.writeHead(200, headers).end(hostname());
      }),
      port,
    );
  }
  onTermination(() => process.exit(0));
}

const [command, ...args] = process.argv.slice(2);
if (command === 'netexec') void netexec(netexecOptions(args));
else if (command === 'serve-hostname') void serveHostname(args);
else fail(`${command ?? '(no command)'}: this built-in agnhost has netexec, serve-hostname and pause`);
