import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ConfigFields,
  type ConfigValue,
  readConfig,
  readFields,
  readInteger,
  readList,
  readOneOf,
  readSome,
  readText,
} from '../component/config-fields.ts';
import { SignalboxError } from '../errors/error.ts';
import { cidrAddress, parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import type { EtcdStoreConfig } from '../store/etcd/etcd-store.ts';
import {
  type ApiServerConfig,
  admissionPlugins,
  type Listen,
  type StoreConfig,
  serviceAccountIssuer,
} from './config.ts';
import { defaultLimits, type RequestLimits } from './in-flight.ts';
import { apiServerNames, type ClientPki, ensurePki, issueClientCertificate } from './pki.ts';

const readPort = readInteger(1, 65535);
const clusterDomain = 'cluster.local';
/** Where a server listens on all it has. */
const anyAddress: readonly string[] = ['0.0.0.0', '::'];

/**
 * Reads an API server's configuration file:
 *
 * - `listen`: list of `{host, port}` or `{fd}`; port 0 takes one that is free
 * - `pkiDir`: folder with `ca.crt`, `apiserver.crt`, `apiserver.key` and `sa.key`, which signs service accounts' tokens
 * - `nodeClient`: `{certFile, keyFile}`, the client certificate for nodes; without it logs, streams and the proxy of Pods
 *   are not to be had
 * - `serviceAccountIssuer`: URL in these tokens, default `https://kubernetes.default.svc.cluster.local`
 * - `disableAdmissionPlugins`: list of `ServiceAccount` (Pods need no service account, and get no token), default empty
 * - `store`: `{lmdb: {dir}}`, a folder of this server's own, or `{etcd: {endpoints, prefix, tls: {caFile, certFile,
 *   keyFile}}}`; the prefix is `/signalbox` unless told
 * - `dataDir`: short for `store: {lmdb: {dir}}`
 * - `serviceCidrs`: blocks of cluster IPs, the preferred family first
 * - `nodePortRange`: `{from, to}`, default 30000 to 32767
 * - `limits`: `{reads, writes, streams, requestSeconds, answerMegabytes}`: how many requests are answered at the same time
 *   (400 that read, 200 that write, 10,000 watches and other streams), how long one may take to arrive (60), and how much
 *   of long answers may wait for clients that read slowly (512)
 * - `advertise`: `{address, port}` where Pods reach this server
 *
 * @throws SignalboxError `INVALID_CONFIG`, `INVALID_ADDRESS`, `INVALID_CIDR`
 */
export function parseApiServerConfig(value: unknown): ApiServerConfig {
  const { pkiDir, config } = readServer(value);
  return {
    ...config,
    pki: {
      caCert: readPem(pkiDir, 'ca.crt'),
      serverCert: readPem(pkiDir, 'apiserver.crt'),
      serverKey: readPem(pkiDir, 'apiserver.key'),
      serviceAccountKey: readPem(pkiDir, 'sa.key'),
    },
  };
}

/**
 * Reads the configuration of a server that stands alone: what is missing in `pkiDir` is made, for the addresses that
 * the server has, and `administrator` is a client certificate for the group `system:masters`.
 * @throws SignalboxError as `parseApiServerConfig`, `PKI_UNREADABLE`
 */
export async function parseStandaloneConfig(
  value: unknown,
): Promise<{ readonly config: ApiServerConfig; readonly administrator: ClientPki }> {
  const { pkiDir, config } = readServer(value);
  const { listen, apiServerAddress, serviceCidrs } = config;
  const ips = [
    ...listen.flatMap((where) => ('host' in where && !anyAddress.includes(where.host) ? [where.host] : [])),
    ...(apiServerAddress === undefined ? [] : [apiServerAddress.ip]),
    // The Service `kubernetes`.
    ...serviceCidrs.map((cidr) => cidrAddress(parseCidr(cidr), 1)),
  ];
  const pki = await ensurePki(pkiDir, apiServerNames({ clusterDomain, ips }));
  const administrator = await issueClientCertificate(pkiDir, { user: 'admin', groups: ['system:masters'] });
  return { config: { ...config, pki }, administrator };
}

function readServer(value: unknown): { pkiDir: string; config: Omit<ApiServerConfig, 'pki'> } {
  return readConfig(value, { name: 'the API server configuration' }, (fields) => {
    const pkiDir = fields.required('pkiDir', readText);
    const nodeClient = fields.optional('nodeClient', readFields(clientFiles));
    const advertise = fields.optional('advertise', readFields(advertisedAddress));
    const config = {
      listen: fields.required('listen', readList(readFields(listenAddress))),
      store: readStore(fields),
      serviceCidrs: fields.required('serviceCidrs', readList(readCidr)),
      nodePortRange: fields.optional('nodePortRange', readFields(portRange)) ?? { from: 30000, to: 32767 },
      serviceAccountIssuer: fields.optional('serviceAccountIssuer', readText) ?? serviceAccountIssuer(clusterDomain),
      disabledAdmission: fields.optional('disableAdmissionPlugins', readList(readOneOf(admissionPlugins))) ?? [],
      limits: fields.optional('limits', readFields(requestLimits)) ?? defaultLimits,
      ...(nodeClient === undefined ? {} : { nodeClient }),
      ...(advertise === undefined ? {} : { apiServerAddress: advertise }),
    };
    return { pkiDir, config };
  });
}

function readStore(fields: ConfigFields): StoreConfig {
  const dir = fields.optional('dataDir', readText);
  const store = fields.optional('store', (at) => {
    const choice = readFields((choices) => ({
      lmdb: choices.optional(
        'lmdb',
        readFields((lmdb) => ({ dir: lmdb.required('dir', readText) })),
      ),
      etcd: choices.optional('etcd', readFields(readEtcd)),
    }))(at);
    if (choice.lmdb !== undefined && choice.etcd === undefined) return { lmdb: choice.lmdb };
    if (choice.etcd !== undefined && choice.lmdb === undefined) return { etcd: choice.etcd };
    throw at.error('does not name one store', 'give it either lmdb or etcd');
  });
  if (store === undefined) return { lmdb: { dir: dir ?? fields.required('dataDir', readText) } };
  if (dir === undefined) return store;
  throw new SignalboxError('INVALID_CONFIG', {
    object: 'dataDir',
    problem: 'names a store beside `store`',
    remedy: 'remove one of the two',
  });
}

function readEtcd(fields: ConfigFields): EtcdStoreConfig {
  const tls = fields.optional(
    'tls',
    readFields((files) => ({
      ca: files.optional('caFile', readFile),
      cert: files.optional('certFile', readFile),
      key: files.optional('keyFile', readFile),
    })),
  );
  return {
    endpoints: fields.required('endpoints', readSome(readEndpoint)),
    prefix: fields.optional('prefix', readText) ?? '/signalbox',
    ...(tls === undefined ? {} : { tls }),
  };
}

function readEndpoint(at: ConfigValue): string {
  const text = readText(at);
  if (/^https?:\/\/[^/?#@]+$/.test(text) && URL.canParse(text)) return text;
  throw at.valueError('is not the address of an etcd member', 'write it as https://host:2379');
}

/** What is in the file that is named. */
function readFile(at: ConfigValue): string {
  try {
    return readFileSync(readText(at), 'utf8');
  } catch (cause) {
    if (cause instanceof SignalboxError) throw cause;
    throw at.valueError('cannot be read', 'give the path of a PEM file', cause);
  }
}

function listenAddress(fields: ConfigFields): Listen {
  const fd = fields.optional('fd', readInteger(0, 1 << 20));
  if (fd !== undefined) return { fd };
  return { host: fields.required('host', readIp), port: fields.required('port', readInteger(0, 65535)) };
}

function advertisedAddress(fields: ConfigFields): { ip: string; port: number } {
  return { ip: fields.required('address', readIp), port: fields.required('port', readPort) };
}

function portRange(fields: ConfigFields): { from: number; to: number } {
  return { from: fields.required('from', readPort), to: fields.required('to', readPort) };
}

function requestLimits(fields: ConfigFields): RequestLimits {
  const count = (name: 'reads' | 'writes' | 'streams') =>
    fields.optional(name, readInteger(1, 1_000_000)) ?? defaultLimits[name];
  const megabytes = fields.optional('answerMegabytes', readInteger(1, 65_536));
  const seconds = fields.optional('requestSeconds', readInteger(1, 3_600));
  return {
    reads: count('reads'),
    writes: count('writes'),
    streams: count('streams'),
    requestMs: seconds === undefined ? defaultLimits.requestMs : seconds * 1_000,
    answerBytes: megabytes === undefined ? defaultLimits.answerBytes : megabytes * 2 ** 20,
  };
}

function readIp(at: ConfigValue): Ip {
  return parseIp(readText(at));
}

function readCidr(at: ConfigValue): string {
  const text = readText(at);
  parseCidr(text);
  return text;
}

function clientFiles(fields: ConfigFields): { cert: string; key: string } {
  return { cert: fields.required('certFile', readFile), key: fields.required('keyFile', readFile) };
}

function readPem(dir: string, name: string): string {
  const path = join(dir, name);
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: path,
      problem: 'cannot be read',
      remedy: 'name the folder with the certificates in pkiDir',
      cause,
    });
  }
}
