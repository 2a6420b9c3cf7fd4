import { generateKeyPairSync, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { makeFolder } from '../component/make-folder.ts';
import { replaceFile } from '../component/replace-file.ts';
import { SignalboxError } from '../errors/error.ts';
import type { KeyPair, ServerNames, Subject } from './certificates.ts';

const renewBeforeMs = 30 * 24 * 3_600_000;

/** PEM texts of the cluster's authority and of its API server. */
export interface ClusterPki {
  readonly caCert: string;
  readonly serverCert: string;
  readonly serverKey: string;
  /** Signs the tokens of service accounts. */
  readonly serviceAccountKey: string;
}

/** PEM texts of one client. */
export interface ClientPki {
  readonly cert: string;
  readonly key: string;
}

/** The names under which Pods and people know the API server of a cluster. */
export function apiServerNames(at: { readonly clusterDomain: string; readonly ips: readonly string[] }): ServerNames {
  const short = ['kubernetes', 'kubernetes.default', 'kubernetes.default.svc'];
  return {
    names: [...short, `kubernetes.default.svc.${at.clusterDomain}`, 'localhost'],
    ips: [...new Set([...at.ips, '127.0.0.1', '::1'])],
  };
}

/**
 * The certificates in a folder (`ca.crt`, `ca.key`, `apiserver.crt`, `apiserver.key`) and the key that signs tokens
 * (`sa.key`), made when they are missing. The authority and that key stay; the server's certificate is made anew when it runs out or lacks a name. Files have mode 0600.
 * @throws SignalboxError `PKI_UNREADABLE`
 */
export async function ensurePki(dir: string, server: ServerNames): Promise<ClusterPki> {
  makeFolder(dir, 0o700);
  const ca = await ensureAuthority(dir);
  const known = await readPair(dir, 'apiserver');
  const pair =
    known !== undefined && isGood(known, ca, server)
      ? known
      : await make(dir, 'apiserver', async ({ issueServerCertificate }) => issueServerCertificate(ca, server));
  const serviceAccountKey = await ensureServiceAccountKey(dir);
  return { caCert: ca.cert, serverCert: pair.cert, serverKey: pair.key, serviceAccountKey };
}

/** The files of a client's certificate are called so, with `.crt` and `.key` at the end. */
export function clientFileName(user: string): string {
  return `client-${user.replaceAll(/[^a-zA-Z0-9.-]/g, '_')}`;
}

/**
 * The certificate of a client, named by its user, made when it is missing or runs out.
 * @throws SignalboxError `PKI_UNREADABLE`
 */
export async function issueClientCertificate(dir: string, subject: Subject): Promise<ClientPki> {
  const ca = await ensureAuthority(dir);
  const file = clientFileName(subject.user);
  const known = await readPair(dir, file);
  if (known !== undefined && isGood(known, ca) && isFor(known, subject)) return known;
  return make(dir, file, async ({ issueClientCertificate: issue }) => issue(ca, subject));
}

async function ensureServiceAccountKey(dir: string): Promise<string> {
  const path = join(dir, 'sa.key');
  const known = await read(path);
  if (known !== undefined) return known;
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const pem = privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
  replaceFile(path, pem);
  return pem;
}

/**
 * The certificate of a server of the cluster, as files `NAME.crt` and `NAME.key`, made when it is missing, runs out or
 * lacks a name.
 * @throws SignalboxError `PKI_UNREADABLE`
 */
export async function issueServingCertificate(dir: string, name: string, at: ServerNames): Promise<void> {
  const ca = await ensureAuthority(dir);
  const known = await readPair(dir, name);
  if (known !== undefined && isGood(known, ca, at)) return;
  await make(dir, name, async ({ issueServerCertificate: issue }) => issue(ca, at));
}

async function ensureAuthority(dir: string): Promise<KeyPair> {
  const known = await readPair(dir, 'ca');
  if (known !== undefined) {
    if (!isExpiring(known)) return known;
    throw new SignalboxError('PKI_UNREADABLE', {
      object: join(dir, 'ca.crt'),
      problem: 'has expired',
      remedy: 'remove the folder to make new certificates',
    });
  }
  return make(dir, 'ca', async ({ createAuthority }) => createAuthority());
}

async function make(
  dir: string,
  name: string,
  create: (certificates: typeof import('./certificates.ts')) => Promise<KeyPair>,
): Promise<KeyPair> {
  // The library is large, and only needed when something has to be made.
  const pair = await create(await import('./certificates.ts'));
  replaceFile(join(dir, `${name}.key`), pair.key);
  replaceFile(join(dir, `${name}.crt`), pair.cert);
  return pair;
}

async function readPair(dir: string, name: string): Promise<KeyPair | undefined> {
  const [cert, key] = await Promise.all([read(join(dir, `${name}.crt`)), read(join(dir, `${name}.key`))]);
  if (cert === undefined || key === undefined) return undefined;
  try {
    new X509Certificate(cert);
  } catch (cause) {
    throw new SignalboxError('PKI_UNREADABLE', {
      object: join(dir, `${name}.crt`),
      problem: 'is not a certificate',
      remedy: 'remove the file to have it made again',
      cause,
    });
  }
  return { cert, key };
}

async function read(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function isExpiring({ cert }: KeyPair): boolean {
  return Date.parse(new X509Certificate(cert).validTo) - Date.now() < renewBeforeMs;
}

function isGood(pair: KeyPair, ca: KeyPair, names: ServerNames = { names: [], ips: [] }): boolean {
  const certificate = new X509Certificate(pair.cert);
  return (
    !isExpiring(pair) &&
    certificate.verify(new X509Certificate(ca.cert).publicKey) &&
    names.names.every((name) => certificate.checkHost(name) !== undefined) &&
    names.ips.every((ip) => certificate.checkIP(ip) !== undefined)
  );
}

function isFor(pair: KeyPair, { user, groups }: Subject): boolean {
  const parts = new X509Certificate(pair.cert).subject.split('\n');
  const organizations = parts.filter((part) => part.startsWith('O=')).map((part) => part.slice(2));
  return parts.includes(`CN=${user}`) && organizations.sort().join('\n') === [...groups].sort().join('\n');
}
