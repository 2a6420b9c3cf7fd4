import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  type ConfigFields,
  type ConfigValue,
  readConfig,
  readFields,
  readInteger,
  readList,
  readText,
} from '../component/config-fields.ts';
import { SignalboxError } from '../errors/error.ts';
import { parseCidr } from '../net/cidr.ts';
import { type Ip, parseIp } from '../net/ip.ts';
import type { ApiServerConfig, Listen } from './config.ts';

const readPort = readInteger(1, 65535);

/**
 * Reads an API server's configuration file:
 *
 * - `listen`: list of `{host, port}` or `{fd}`
 * - `dataDir`: folder of the store
 * - `pkiDir`: folder with `ca.crt`, `apiserver.crt`, `apiserver.key`
 * - `nodeClient`: `{certFile, keyFile}`, the client certificate for nodes; without it logs and streams of Pods are not to be had
 * - `serviceCidrs`: blocks of cluster IPs, the preferred family first
 * - `nodePortRange`: `{from, to}`, default 30000 to 32767
 * - `advertise`: `{address, port}` where Pods reach this server
 *
 * @throws SignalboxError `INVALID_CONFIG`, `INVALID_ADDRESS`, `INVALID_CIDR`
 */
export function parseApiServerConfig(value: unknown): ApiServerConfig {
  return readConfig(value, { name: 'the API server configuration' }, (fields) => {
    const pkiDir = fields.required('pkiDir', readText);
    const nodeClient = fields.optional('nodeClient', readFields(clientFiles));
    const advertise = fields.optional('advertise', readFields(advertisedAddress));
    return {
      listen: fields.required('listen', readList(readFields(listenAddress))),
      dataDir: fields.required('dataDir', readText),
      serviceCidrs: fields.required('serviceCidrs', readList(readCidr)),
      nodePortRange: fields.optional('nodePortRange', readFields(portRange)) ?? { from: 30000, to: 32767 },
      pki: {
        caCert: readPem(pkiDir, 'ca.crt'),
        serverCert: readPem(pkiDir, 'apiserver.crt'),
        serverKey: readPem(pkiDir, 'apiserver.key'),
      },
      ...(nodeClient === undefined ? {} : { nodeClient }),
      ...(advertise === undefined ? {} : { apiServerAddress: advertise }),
    };
  });
}

function listenAddress(fields: ConfigFields): Listen {
  const fd = fields.optional('fd', readInteger(0, 1 << 20));
  if (fd !== undefined) return { fd };
  return { host: fields.required('host', readIp), port: fields.required('port', readPort) };
}

function advertisedAddress(fields: ConfigFields): { ip: string; port: number } {
  return { ip: fields.required('address', readIp), port: fields.required('port', readPort) };
}

function portRange(fields: ConfigFields): { from: number; to: number } {
  return { from: fields.required('from', readPort), to: fields.required('to', readPort) };
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
  const read = (field: string) => readFile(fields.required(field, readText));
  return { cert: read('certFile'), key: read('keyFile') };
}

function readPem(dir: string, name: string): string {
  return readFile(join(dir, name), 'name the folder with the certificates in pkiDir');
}

function readFile(path: string, remedy = 'name a file that is there'): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw new SignalboxError('INVALID_CONFIG', {
      object: path,
      problem: 'cannot be read',
      remedy,
      cause,
    });
  }
}
