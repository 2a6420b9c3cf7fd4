import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigFields, readInteger, readList, readText } from '../component/config-fields.ts';
import { SignalboxError } from '../errors/error.ts';
import { parseCidr } from '../net/cidr.ts';
import { parseIp } from '../net/ip.ts';
import type { ApiServerConfig, Listen } from './config.ts';

const readPort = readInteger(1, 65535);

/**
 * Reads an API server's configuration file:
 *
 * - `listen`: list of `{host, port}` or `{fd}`
 * - `dataDir`: folder of the store
 * - `pkiDir`: folder with `ca.crt`, `apiserver.crt`, `apiserver.key`
 * - `serviceCidrs`: blocks of cluster IPs, the preferred family first
 * - `nodePortRange`: `{from, to}`, default 30000 to 32767
 * - `advertise`: `{address, port}` where Pods reach this server
 *
 * @throws SignalboxError `INVALID_CONFIG`, `INVALID_ADDRESS`, `INVALID_CIDR`
 */
export function parseApiServerConfig(value: unknown): ApiServerConfig {
  const fields = new ConfigFields(value, 'config');
  const pkiDir = fields.required('pkiDir', readText);
  const advertise = fields.optional('advertise', readAdvertise);
  const config: ApiServerConfig = {
    listen: fields.required('listen', readList(readListen)),
    dataDir: fields.required('dataDir', readText),
    serviceCidrs: fields.required('serviceCidrs', readList(readCidr)),
    nodePortRange: fields.optional('nodePortRange', readPortRange) ?? { from: 30000, to: 32767 },
    pki: {
      caCert: readPem(pkiDir, 'ca.crt'),
      serverCert: readPem(pkiDir, 'apiserver.crt'),
      serverKey: readPem(pkiDir, 'apiserver.key'),
    },
    ...(advertise === undefined ? {} : { apiServerAddress: advertise }),
  };
  fields.done();
  return config;
}

function readListen(value: unknown, path: string): Listen {
  const fields = new ConfigFields(value, path);
  const fd = fields.optional('fd', readInteger(0, 1 << 20));
  const listen =
    fd === undefined
      ? { host: parseIp(fields.required('host', readText)), port: fields.required('port', readPort) }
      : { fd };
  fields.done();
  return listen;
}

function readAdvertise(value: unknown, path: string): { ip: string; port: number } {
  const fields = new ConfigFields(value, path);
  const address = { ip: parseIp(fields.required('address', readText)), port: fields.required('port', readPort) };
  fields.done();
  return address;
}

function readPortRange(value: unknown, path: string): { from: number; to: number } {
  const fields = new ConfigFields(value, path);
  const range = { from: fields.required('from', readPort), to: fields.required('to', readPort) };
  fields.done();
  return range;
}

function readCidr(value: unknown, path: string): string {
  const text = readText(value, path);
  parseCidr(text);
  return text;
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
