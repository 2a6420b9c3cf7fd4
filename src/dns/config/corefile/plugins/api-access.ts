import { isSameApi } from '../../api-access.ts';
import type { ApiAccess, ApiServerSettings, DnsConfig } from '../../types.ts';
import { argumentsOf, type OptionReaders } from '../arguments.ts';
import { corefileError, quoted } from '../error.ts';
import type { Directive } from '../parse.ts';
import type { Token } from '../tokens.ts';
import type { Draft } from './plugin.ts';

/** The lines of a block that say where the API is. */
export interface ApiLines {
  kubeconfig?: Directive;
  endpoint?: Directive;
  tls?: Directive;
}

/** The readers of those lines, which keep them. */
export function accessOptions(lines: ApiLines) {
  const keep = (name: keyof ApiLines) => (option: Directive) => {
    lines[name] = option;
  };
  return { kubeconfig: keep('kubeconfig'), endpoint: keep('endpoint'), tls: keep('tls') } satisfies OptionReaders;
}

/**
 * Takes over what those lines say. The server has one API for all blocks: those that name one name the same.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function takeAccess({ kubeconfig, endpoint, tls }: ApiLines, server: Draft<DnsConfig>): void {
  if (tls !== undefined && endpoint === undefined)
    throw corefileError(tls.name, 'tls has no effect without endpoint', 'name the API server: endpoint https://…');
  if (kubeconfig !== undefined && endpoint !== undefined)
    throw corefileError(endpoint.name, 'endpoint stands beside kubeconfig', 'choose one of them');
  const option = kubeconfig ?? endpoint;
  if (option === undefined) return;
  const [file, context] = kubeconfig === undefined ? [] : argumentsOf(kubeconfig, 1, 2).map(({ text }) => text);
  const apiServer = endpoint === undefined ? undefined : apiServerOf(endpoint, tls);
  const access: ApiAccess = { kubeconfig: file, context, apiServer };
  const isNamed = server.kubeconfig !== undefined || server.apiServer !== undefined;
  if (isNamed && !isSameApi(server, access))
    throw corefileError(option.name, `names another ${option.name.text} than the one above`, 'serve one cluster');
  Object.assign(server, access);
}

/** `endpoint URL…` and `tls CERT KEY CA`. */
function apiServerOf(endpoint: Directive, tls: Directive | undefined): ApiServerSettings {
  const [server = '', ...otherServers] = argumentsOf(endpoint, 1).map(urlOf);
  if (tls === undefined) return { server, otherServers, tls };
  const [certFile = '', keyFile = '', caFile = ''] = argumentsOf(tls, 3, 3).map(({ text }) => text);
  return { server, otherServers, tls: { certFile, keyFile, caFile } };
}

function urlOf(token: Token): string {
  if (/^https?:$/.test(URL.canParse(token.text) ? new URL(token.text).protocol : '')) return token.text;
  throw corefileError(token, `${quoted(token)} is not the URL of an API server`, 'write it as https://192.0.2.1:6443');
}
