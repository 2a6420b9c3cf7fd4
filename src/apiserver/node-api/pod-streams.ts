import { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { Node, Pod } from '../../api/generated/types.ts';
import { nodeApiPaths, podStreamIdleMs } from '../../api/node-api.ts';
import { resources } from '../../api/resources.ts';
import { joinStreams } from '../../component/join-streams.ts';
import { switchingProtocols } from '../http-messages.ts';
import type { RegistryEnvironment } from '../registry.ts';
import { isTrue } from '../request-info.ts';
import { type ApiRequest, streamed } from '../requests.ts';
import { badRequest, internalError, notFound, StatusError } from '../status.ts';
import { openStream } from '../stream-answer.ts';
import { readLogQuery } from './log-query.ts';
import type { NodeClient, Upgraded } from './node-client.ts';
import { readRefusal } from './refusal.ts';

/** Subresources of a Pod that its node answers. */
export type PodStream = keyof typeof nodeApiPaths;

export function isPodStream(subresource: string): subresource is PodStream {
  return subresource in nodeApiPaths;
}

/**
 * Passes a request for a Pod's logs or streams on to the Pod's node, and what comes of it back.
 * @throws StatusError
 */
export async function passToNode(
  subresource: PodStream,
  {
    pod,
    request,
    environment,
  }: { readonly pod: Pod; readonly request: ApiRequest; readonly environment: RegistryEnvironment },
): Promise<typeof streamed> {
  const nodeClient = wayToNodes(environment);
  const container = subresource === 'portforward' ? undefined : chooseContainer(pod, request.query);
  const query = subresource === 'log' ? readLogQuery(request.query, pod) : streamQuery(subresource, request.query);
  const node = nodeOf(pod, environment);
  const { namespace = '', name = '' } = pod.metadata ?? {};
  const parts = [nodeApiPaths[subresource], namespace, name, ...(container === undefined ? [] : [container])];
  const path = `/${parts.map(encodeURIComponent).join('/')}?${query}`;
  if (subresource === 'log') return sendLog(nodeClient, { node, path, request });
  return connectStreams(nodeClient, { node, path, request });
}

/** @throws StatusError 503 when the server has no certificate for its nodes */
export function wayToNodes({ nodeClient }: RegistryEnvironment): NodeClient {
  if (nodeClient !== undefined) return nodeClient;
  throw new StatusError('ServiceUnavailable', 'this API server knows no way to its nodes');
}

/** The container that is meant, in the words of Kubernetes when it cannot be known. */
function chooseContainer({ metadata, spec }: Pod, query: URLSearchParams): string {
  const { containers = [], initContainers = [] } = spec ?? {};
  const asked = query.get('container') ?? '';
  if (asked !== '') {
    if ([...containers, ...initContainers].some(({ name }) => name === asked)) return asked;
    throw badRequest(`container ${asked} is not valid for pod ${metadata?.name}`);
  }
  const [only, ...more] = containers;
  if (only !== undefined && more.length === 0) return only.name;
  const names = (list: readonly { name: string }[]) => list.map(({ name }) => name).join(' ');
  const inits = initContainers.length === 0 ? '' : ` or one of the init containers: [${names(initContainers)}]`;
  const choice = `choose one of: [${names(containers)}]${inits}`;
  throw badRequest(`a container name must be specified for pod ${metadata?.name}, ${choice}`);
}

/**
 * The node that a Pod is on.
 * @throws StatusError 400 when it is on none, 404 when that one is gone
 */
export function nodeOf({ metadata, spec }: Pod, { cache }: Pick<RegistryEnvironment, 'cache'>): Node {
  const name = spec?.nodeName ?? '';
  if (name === '') throw badRequest(`pod ${metadata?.name} does not have a host assigned`);
  const node = cache.of(resources.nodes).get(name);
  if (node === undefined) throw notFound(resources.nodes, name);
  return node.object as Node;
}

/** The parameters as a node agent calls them. */
function streamQuery(subresource: PodStream, query: URLSearchParams): URLSearchParams {
  const to = new URLSearchParams();
  if (subresource === 'portforward') {
    for (const port of query.getAll('ports')) to.append('port', port);
    return to;
  }
  for (const [name, theirs] of [
    ['stdin', 'input'],
    ['stdout', 'output'],
    ['stderr', 'error'],
    ['tty', 'tty'],
  ] as const) {
    if (isTrue(query.get(name))) to.set(theirs, '1');
  }
  for (const word of query.getAll('command')) to.append('command', word);
  return to;
}

/** Where a request goes on to. */
interface Onward {
  readonly node: Node;
  readonly path: string;
  readonly request: ApiRequest;
}

async function sendLog(client: NodeClient, { node, path, request }: Onward): Promise<typeof streamed> {
  const gone = new AbortController();
  request.response.once('close', () => gone.abort());
  const answer = await client.get(node, path, gone.signal);
  if (answer.statusCode !== 200) throw await refusal(answer);
  const to = await openStream(request, { type: 'text/plain', messages: 'bytes' });
  if (to === streamed) answer.destroy();
  // Whoever breaks off first, the other side is told by the end of its connection.
  else await pipeline(answer, to).catch(() => {});
  return streamed;
}

/** Connects both sides byte for byte: what is said between them is theirs. */
async function connectStreams(client: NodeClient, { node, path, request }: Onward): Promise<typeof streamed> {
  const { upgrade, headers } = request;
  if (upgrade === undefined) throw badRequest('Upgrade request required');
  const passed = Object.entries(headers).filter(
    ([name]) => name.startsWith('sec-websocket-') || name === 'origin' || name === 'x-stream-protocol-version',
  );
  const answer = await client.upgrade(node, path, {
    connection: 'Upgrade',
    upgrade: headers.upgrade,
    ...Object.fromEntries(passed),
  });
  if (answer instanceof IncomingMessage) throw await refusal(answer);
  switchOver(upgrade.take(), answer, upgrade.head);
  return streamed;
}

function switchOver(client: Duplex, { answer, socket: node, head }: Upgraded, clientHead: Buffer): void {
  client.write(switchingProtocols(answer.rawHeaders));
  if (head.length > 0) client.write(head);
  if (clientHead.length > 0) node.write(clientHead);
  joinStreams(client, node, podStreamIdleMs);
}

/** What a node's refusal is to the client: the node's own words. */
async function refusal(answer: IncomingMessage): Promise<StatusError> {
  const text = await readRefusal(answer);
  if (answer.statusCode === 400) return badRequest(text);
  if (answer.statusCode === 404) return new StatusError('NotFound', text);
  return internalError(text);
}
