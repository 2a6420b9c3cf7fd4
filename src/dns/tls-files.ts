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
  const context = await readContext({ certFile, keyFile, caFile: clientCaFile });
  return { ...context, requestCert: clientCaFile !== undefined };
}

/**
 * Reads what is needed to ask over TLS.
 * @throws SignalboxError `INVALID_CONFIG` when a file cannot be read, or is not what it should be
 */
export async function readClientTls({ serverName, ...files }: ClientTlsSettings): Promise<StreamTls> {
  return { ...(await readContext(files)), serverName };
}

async function readContext(files: Omit<ClientTlsSettings, 'serverName'>): Promise<SecureContextOptions> {
  const { certFile, keyFile, caFile } = files;
  const context: SecureContextOptions = {
    ...(certFile === undefined ? {} : { cert: await readPem(certFile) }),
    ...(keyFile === undefined ? {} : { key: await readPem(keyFile) }),
    ...(caFile === undefined ? {} : { ca: await readPem(caFile) }),
  };
  try {
    createSecureContext(context);
  } catch (cause) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: [certFile, keyFile, caFile].filter((file) => file !== undefined).join(', '),
      problem: 'cannot be used for TLS',
      remedy: 'give PEM files, and the key that belongs to the certificate',
      cause,
    });
  }
  return context;
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
