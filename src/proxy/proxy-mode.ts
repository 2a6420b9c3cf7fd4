/** How the node's kernel is programmed. */
export const proxyModes = ['nftables', 'iptables', 'ipvs', 'userspace'] as const;
export type ProxyMode = (typeof proxyModes)[number];
