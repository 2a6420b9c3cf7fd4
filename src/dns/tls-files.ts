import { readFile } from 'node:fs/promises';
import { createSecureContext, type SecureContextOptions } from 'node:tls';
import { SignalboxError } from '../errors/error.ts';
import type { ClientTlsSettings, ServerTlsSettings } from './config/types.ts';
import type { StreamTls } from './forward/stream-exchange.ts';

/** What a TLS listener shows, and asks of its clients. */
export interface ServerTls extends SecureContextOptions {
  /** Whether clients must show a certificate. */
  readonly requestCert: boolean;
}

/**
 * Reads what a listener needs.
 * @throws SignalboxError `INVALID_CONFIG` when a file cannot be read, or is not what it should be
 */
export async function readServerTls({ certFile, keyFile, clientCaFile }: ServerTlsSettings): Promise<ServerTls> {
  const contents = await readTlsFiles({ certFile, keyFile, caFile: clientCaFile });
  return { ...contents, requestCert: clientCaFile !== undefined };
}

/**
 * Reads what is needed to ask over TLS.
 * @throws SignalboxError `INVALID_CONFIG` when a file cannot be read, or is not what it should be
 */
export async function readClientTls({ serverName, ...files }: ClientTlsSettings): Promise<StreamTls> {
  return { ...(await readTlsFiles(files)), serverName };
}

/** What the files of a TLS configuration hold, those that it names. */
export interface TlsContents {
  readonly cert?: Buffer;
  readonly key?: Buffer;
  readonly ca?: Buffer;
}

/**
 * Reads the files of a TLS configuration.
 * @throws SignalboxError `INVALID_CONFIG` when a file cannot be read, or is not what it should be
 */
export async function readTlsFiles(files: Omit<ClientTlsSettings, 'serverName'>): Promise<TlsContents> {
  const { certFile, keyFile, caFile } = files;
  const contents: TlsContents = {
    ...(certFile === undefined ? {} : { cert: await readPem(certFile) }),
    ...(keyFile === undefined ? {} : { key: await readPem(keyFile) }),
    ...(caFile === undefined ? {} : { ca: await readPem(caFile) }),
  };
  try {
    createSecureContext({ ...contents });
  } catch (cause) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: [certFile, keyFile, caFile].filter((file) => file !== undefined).join(', '),
      problem: 'cannot be used for TLS',
      remedy: 'give PEM files, and the key that belongs to the certificate',
      cause,
    });
  }
  return contents;
}

async function readPem(path: string): Promise<Buffer> {
  try {
    return await readFile(path);
  } catch (cause) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: path,
      problem: 'cannot be read',
      remedy: 'name a PEM file this server may read',
      cause,
    });
  }
}
