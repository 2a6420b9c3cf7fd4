import {
  type ConfigFields,
  type ConfigValue,
  readBoolean,
  readConfig,
  readDuration,
  readOneOf,
  readText,
} from '../component/config-fields.ts';
import type { Cidr } from '../net/cidr.ts';
import { type AddressSettings, addressSettings, readCidrs } from './config/addresses.ts';
import { type ConntrackSettings, conntrackSettings } from './config/conntrack.ts';
import { type ModeSettings, modeSettings } from './config/modes.ts';
import { type ProcessSettings, processSettings } from './config/process.ts';
import { type ProxyMode, proxyModes } from './proxy-mode.ts';

/** How the proxy tells Pods of the cluster from other sources (KEP-2450). */
type LocalSources =
  | { readonly mode: 'ClusterCIDR'; readonly blocks: readonly Cidr[] }
  /** The Node object's `spec.podCIDRs`. */
  | { readonly mode: 'NodeCIDR' }
  /** What comes in through the bridge of this name. */
  | { readonly mode: 'BridgeInterface'; readonly name: string }
  /** What comes in through devices whose names begin like this. */
  | { readonly mode: 'InterfaceNamePrefix'; readonly prefix: string };

/** What the proxy of one node is to do; `parseProxyConfig` says where each setting comes from. */
export interface ProxyConfig extends AddressSettings, ModeSettings, ProcessSettings {
  readonly mode: ProxyMode;
  /** Name of the own Node object; the host's name when absent. */
  readonly hostnameOverride: string | undefined;
  readonly localSources: LocalSources;
  readonly conntrack: ConntrackSettings;
}

const apiVersion = 'kubeproxy.config.k8s.io/v1alpha1';
const forWindows = 'is for nodes with Windows';

/**
 * Reads a KubeProxyConfiguration (`kubeproxy.config.k8s.io/v1alpha1`) with all fields it has in Kubernetes 1.36, and
 * those of older ones that still mean something, with kube-proxy's defaults for what is left out but for `mode`,
 * `minSyncPeriod` and the format of the log. Fields with their zero value count as left out, as generated files have
 * them. What cannot be done is refused with the reason, and so is a field that Kubernetes does not know.
 * @throws SignalboxError `INVALID_CONFIG`
 */
export function parseProxyConfig(object: unknown): ProxyConfig {
  return readConfig(object, { name: 'KubeProxyConfiguration', zeroIsAbsent: true }, (fields) => {
    fields.optional('apiVersion', readOneOf([apiVersion]));
    fields.optional('kind', readOneOf(['KubeProxyConfiguration']));
    fields.refused({ windowsRunAsService: forWindows, winkernel: forWindows });
    // How often informers tell again what they have told: here each change is told once, and what the kernel has is
    // compared every `syncPeriod`.
    fields.optional('configSyncPeriod', readDuration);
    const mode = fields.optional('mode', readOneOf(proxyModes)) ?? 'nftables';
    return {
      mode,
      hostnameOverride: fields.optional('hostnameOverride', readText),
      bindAddressHardFail: fields.optional('bindAddressHardFail', readBoolean) ?? false,
      ...addressSettings(fields, mode),
      localSources: localSources(fields),
      conntrack: fields.group('conntrack', conntrackSettings),
      ...modeSettings(fields, mode),
      ...processSettings(fields),
    };
  });
}

function localSources(fields: ConfigFields): LocalSources {
  const mode = fields.optional('detectLocalMode', readOneOf(detectLocalModes)) ?? 'ClusterCIDR';
  const blocks = fields.optional('clusterCIDR', readCidrs) ?? [];
  return fields.group('detectLocal', (group) => {
    // Both are read whatever the mode is, as generated files may have both.
    for (const name of ['bridgeInterface', 'interfaceNamePrefix']) group.optional(name, readDeviceName);
    if (mode === 'BridgeInterface') return { mode, name: group.required('bridgeInterface', readDeviceName) };
    if (mode === 'InterfaceNamePrefix') return { mode, prefix: group.required('interfaceNamePrefix', readDeviceName) };
    return mode === 'NodeCIDR' ? { mode } : { mode, blocks };
  });
}
const detectLocalModes = ['ClusterCIDR', 'NodeCIDR', 'BridgeInterface', 'InterfaceNamePrefix'] as const;

/** A device's name or the beginning of one: at most 15 bytes without spaces and slashes (linux/if.h). */
function readDeviceName(at: ConfigValue): string {
  const text = readText(at);
  if (/^[^\s/]{1,15}$/.test(text)) return text;
  throw at.valueError('is not the name of a network device', 'write at most 15 characters, such as cni0');
}
