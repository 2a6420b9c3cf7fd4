import { IncomingMessage } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { Pod, Service } from '../../api/generated/types.ts';
import { podStreamIdleMs } from '../../api/node-api.ts';
import { joinStreams } from '../../component/join-streams.ts';
import { urlHost } from '../../net/ip.ts';
import { hasBody, switchingProtocols } from '../http-messages.ts';
import type { Upgraded } from '../node-api/node-client.ts';
import { wayToNodes } from '../node-api/pod-streams.ts';
import type { Registry, RegistryEnvironment } from '../registry.ts';
import type { ResourceRequest } from '../request-info.ts';
import { type ApiAnswer, type ApiRequest, streamed, textAnswer, type UpgradeRequest } from '../requests.ts';
import { badRequest, StatusError } from '../status.ts';
import { askBackend } from './backend.ts';
import { forwardedHeaders, returnedHeaders } from './headers.ts';
import type { PageRewriting } from './html-page.ts';
import { type LinkContext, splitPath, throughProxy } from './paths.ts';
import { type ProxyTarget, parseProxyName, podTarget, serviceTarget } from './target.ts';

/** A request to the `proxy` of a Service or Pod. */
export interface ProxyCall {
  readonly request: ApiRequest;
  readonly info: ResourceRequest;
  readonly registry: Registry;
  readonly environment: RegistryEnvironment;
  readonly place: { readonly namespace: string | undefined; readonly name: string };
}

/**
 * Passes a request on to a Pod, or to one of those behind a Service, and the answer back, as Kubernetes does: whatever
 * the method, both bodies as they come, WebSockets and the like too. The way leads through the agent of the Pod's node.
 * @throws StatusError as long as nothing was answered
 */
export async function proxyRequest(call: ProxyCall): Promise<ApiAnswer | typeof streamed> {
  const { request, environment, info } = call;
  const { incoming, response, upgrade } = request;
  const nodeClient = wayToNodes(environment);
  const target = await targetOf(call);
  const { prefix, below } = splitPath(request.path, info.below ?? '');
  const search = searchOf(incoming);
  const isRead = request.method === 'GET' || request.method === 'HEAD';
  // Relative links of a page have to begin below the proxy.
  if (below === '' && isRead && upgrade === undefined)
    return { ...textAnswer(301, ''), headers: { location: `${prefix}/${search}` } };
  const host = `${urlHost(target.address)}:${target.port}`;
  const headers = forwardedHeaders(incoming, { uri: prefix + below, host });
  if (upgrade === undefined) headers.push('Connection', 'close');
  else {
    if (hasBody(incoming)) throw badRequest('a request to upgrade cannot have a body here');
    headers.push('Connection', 'Upgrade', 'Upgrade', incoming.headers.upgrade ?? '');
    response.socket?.setTimeout(podStreamIdleMs);
  }
  const gone = new AbortController();
  if (response.destroyed) gone.abort();
  else response.once('close', () => gone.abort());
  const onward = { incoming, path: `${below === '' ? '/' : below}${search}`, headers, signal: gone.signal };
  const answer = await askBackend(nodeClient, target, onward);
  if (!(answer instanceof IncomingMessage)) return switchOver(request, answer, upgrade);
  return sendBack(answer, request, { prefix, hosts: namesOf(target, incoming) });
}

/** Few who are asked this way give pages. */
async function pageRewriting(
  answer: IncomingMessage,
  asked: { readonly method: string | undefined; readonly links: LinkContext },
): Promise<PageRewriting | undefined> {
  if (!/^\s*text\/html\s*(;|$)/i.test(answer.headers['content-type'] ?? '')) return undefined;
  return (await import('./html-page.ts')).rewritingOf(answer, asked);
}

async function targetOf({ registry, environment, info, place }: ProxyCall): Promise<ProxyTarget> {
  const asked = parseProxyName(place.name);
  const isService = info.key === 'services';
  if (asked === undefined) throw badRequest(`invalid ${isService ? 'service' : 'pod'} request "${place.name}"`);
  const { object } = await registry.get({ namespace: place.namespace, name: asked.name });
  if (isService) return serviceTarget(object as Service, asked, environment);
  return podTarget(object as Pod, asked, environment);
}

function searchOf({ url = '' }: IncomingMessage): string {
  const mark = url.indexOf('?');
  return mark < 0 ? '' : url.slice(mark);
}

/** As what links may name the one behind the proxy: with its port, and without when that is the scheme's own. */
function namesOf({ address, port, isSecure }: ProxyTarget, { headers }: IncomingMessage): string[] {
  const host = urlHost(address);
  const names = [`${host}:${port}`, headers.host?.toLowerCase() ?? ''];
  return port === (isSecure ? 443 : 80) ? [...names, host] : names;
}

async function sendBack(
  answer: IncomingMessage,
  { incoming, response }: ApiRequest,
  links: LinkContext,
): Promise<typeof streamed> {
  const { statusCode = 0 } = answer;
  if (statusCode < 200) {
    answer.destroy();
    throw new StatusError('ServiceUnavailable', `error trying to reach service: ${statusCode} is no HTTP status`);
  }
  // An answer that came before its question was all asked: the rest is nobody's, and not the next question.
  if (!incoming.complete) response.shouldKeepAlive = false;
  const page = await pageRewriting(answer, { method: incoming.method, links });
  const change = (name: string, value: string) => {
    if (name === 'location') return throughProxy(value, links);
    return page?.changed.includes(name) ? undefined : value;
  };
  response.writeHead(statusCode, returnedHeaders(answer, change));
  response.flushHeaders();
  // Whoever breaks off first, the other side is told by the end of its connection.
  await pipeline([answer, ...(page?.steps ?? []), response]).catch(() => {});
  return streamed;
}

/** Connects both sides byte for byte: what is said between them is theirs. */
function switchOver(
  { response }: ApiRequest,
  { answer, socket: backend, head }: Upgraded,
  upgrade: UpgradeRequest | undefined,
): typeof streamed {
  if (upgrade === undefined) {
    backend.destroy();
    throw new StatusError('ServiceUnavailable', 'error trying to reach service: it changes the protocol unasked');
  }
  response.statusCode = 101;
  const client = upgrade.take();
  client.write(switchingProtocols(answer.rawHeaders));
  if (head.length > 0) client.write(head);
  if (upgrade.head.length > 0) backend.write(upgrade.head);
  joinStreams(client, backend, podStreamIdleMs);
  return streamed;
}
