import { type ConfigFields, type ConfigValue, readList, readParsed, readText } from '../../component/config-fields.ts';
import { type Cidr, parseCidr } from '../../net/cidr.ts';
import { familyOf, type Ip, parseIp, tryParseIp } from '../../net/ip.ts';
import type { ProxyMode } from '../proxy-mode.ts';

/** An address and port to listen on; port 0 takes a free one, which the log tells. */
export interface ListenAddress {
  /** All addresses of the families that the kernel has, when undefined. */
  readonly host: Ip | undefined;
  readonly port: number;
}

/** Where node ports are served: on the node's primary addresses, or on all of its addresses within blocks. */
export type NodePortAddresses = 'primary' | readonly Cidr[];

/** What of a KubeProxyConfiguration is about the node's own addresses. */
export interface AddressSettings {
  /** The node's address in place of what its Node object says, family by family; absent: the object decides. */
  readonly bindAddress: Ip | undefined;
  readonly nodePortAddresses: NodePortAddresses;
  readonly healthzBindAddress: ListenAddress;
  readonly metricsBindAddress: ListenAddress;
  /** Whether an address that cannot be listened on ends the proxy, instead of being tried again. */
  readonly bindAddressHardFail: boolean;
}

const healthzPort = 10256;
const metricsPort = 10249;

/**
 * Reads all of it but `bindAddressHardFail`. Of addresses that are not set, metrics are served in the family of
 * `bindAddress`, and health in both, as the kubelet asks in that of its node.
 */
export function addressSettings(fields: ConfigFields, mode: ProxyMode): Omit<AddressSettings, 'bindAddressHardFail'> {
  const given = fields.optional('bindAddress', readParsed(parseIp));
  const isIpv6 = given !== undefined && familyOf(given) === 'IPv6';
  const listen = (name: string, byDefault: ListenAddress) =>
    fields.optional(name, (at) => readListenAddress(at, byDefault.port)) ?? byDefault;
  return {
    // The unspecified address leaves the choice to the Node object.
    bindAddress: given === '0.0.0.0' || given === '::' ? undefined : given,
    // As kube-proxy: nftables mode is the first that could do without what the older ones had promised.
    nodePortAddresses: fields.optional('nodePortAddresses', readNodePortAddresses) ?? defaultNodePortAddresses(mode),
    healthzBindAddress: listen('healthzBindAddress', { host: undefined, port: healthzPort }),
    metricsBindAddress: listen('metricsBindAddress', {
      host: parseIp(isIpv6 ? '::1' : '127.0.0.1'),
      port: metricsPort,
    }),
  };
}

const everywhere = ['0.0.0.0/0', '::/0'].map(parseCidr);
/** Words that stand for blocks. */
const keywords: { readonly [word: string]: readonly Cidr[] } = {
  all: everywhere,
  localhost: ['127.0.0.0/8', '::1/128'].map(parseCidr),
};

function defaultNodePortAddresses(mode: ProxyMode): NodePortAddresses {
  return mode === 'nftables' ? 'primary' : everywhere;
}

function readNodePortAddresses(at: ConfigValue): NodePortAddresses {
  const texts = readList(readText)(at);
  if (texts.length === 1 && texts[0] === 'primary') return 'primary';
  return readList((item) => {
    if (item.value === 'primary')
      throw item.valueError('stands beside others', 'let it stand alone, or write blocks of addresses');
    const word = String(item.value);
    return Object.hasOwn(keywords, word) ? (keywords[word] ?? []) : [readParsed(parseCidr)(item)];
  })(at).flat();
}

function readListenAddress(at: ConfigValue, defaultPort: number): ListenAddress {
  const text = readText(at);
  const alone = tryParseIp(text);
  if (alone !== undefined) return { host: alone, port: defaultPort };
  const [, bracketed, plain = '', port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = tryParseIp(bracketed ?? plain);
  if (host === undefined || Number(port) > 65535)
    throw at.valueError('is not an address with a port', 'write it as 0.0.0.0:10256 or [::]:10256');
  return { host, port: Number(port) };
}

/** One block of each family at most, with commas in between. */
export function readCidrs(at: ConfigValue): Cidr[] {
  const blocks = readParsed((text) => text.split(',').map((block) => parseCidr(block.trim())))(at);
  if (new Set(blocks.map(({ family }) => family)).size < blocks.length)
    throw at.error('has two blocks of one family', 'write at most one IPv4 and one IPv6 block');
  return blocks;
}
