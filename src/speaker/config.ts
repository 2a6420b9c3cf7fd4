import { readBindAddress } from '../component/bind-address.ts';
import { type ConfigValue, readConfig, readSome, readText } from '../component/config-fields.ts';
import type { PageAddress } from '../component/pages.ts';
import { parseIp } from '../net/ip.ts';

/** What a speaker is told; `parseSpeakerConfig` says where each setting comes from. */
export interface SpeakerConfig {
  /** Path; the environment decides when it is undefined. */
  readonly kubeconfig: string | undefined;
  /** Name of the Node object; the host's name when undefined. */
  readonly nodeName: string | undefined;
  readonly interfaces: readonly string[] | undefined;
  /** Page that says whether the node's rules serve; nobody is asked when undefined. */
  readonly proxyHealth: string | undefined;
  readonly healthzBindAddress: PageAddress;
  readonly metricsBindAddress: PageAddress;
}

/**
 * Reads the fields of a configuration file:
 *
 * - `kubeconfig`: path
 * - `nodeName`: name of the Node object; default the host's name
 * - `interfaces`: names of devices, on which every address is then announced; default those with an address in the
 *   same subnet
 * - `proxyHealth`: URL of the node proxy's health page, or `none`; default `http://127.0.0.1:10256/healthz`
 * - `healthzBindAddress`: default port 7473 of all addresses, of both families
 * - `metricsBindAddress`: default `127.0.0.1:7472`
 *
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseSpeakerConfig(object: unknown): SpeakerConfig {
  return readConfig(object, { name: 'the speaker configuration' }, (fields) => {
    const proxyHealth = fields.optional('proxyHealth', readUrlOrNone) ?? defaultProxyHealth;
    return {
      kubeconfig: fields.optional('kubeconfig', readText),
      nodeName: fields.optional('nodeName', readText),
      interfaces: fields.optional('interfaces', readSome(readText)),
      proxyHealth: proxyHealth === 'none' ? undefined : proxyHealth,
      healthzBindAddress: fields.optional('healthzBindAddress', readBindAddress) ?? { host: undefined, port: 7473 },
      metricsBindAddress: fields.optional('metricsBindAddress', readBindAddress) ?? { host: loopback, port: 7472 },
    };
  });
}

const loopback = parseIp('127.0.0.1');
const defaultProxyHealth = 'http://127.0.0.1:10256/healthz';

function readUrlOrNone(at: ConfigValue): string {
  const text = readText(at);
  if (text === 'none' || (URL.canParse(text) && new URL(text).protocol === 'http:')) return text;
  throw at.valueError('is no URL of a health page', 'write it as http://127.0.0.1:10256/healthz, or none');
}
