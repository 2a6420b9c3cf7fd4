/** Port of a node agent's API (as kubelet's). */
export const nodeApiPort = 10250;

/** The one user whose client certificate a node agent accepts: the API server, which has asked who may do what before. */
export const nodeApiClient = 'kube-apiserver-kubelet-client';

/** What a node agent's API does with a container or Pod, by the first part of its paths. */
export const nodeApiPaths = {
  log: 'containerLogs',
  exec: 'exec',
  attach: 'attach',
  portforward: 'portForward',
} as const;

/**
 * A TCP connection to an address of a Pod, as the API server's proxy needs it: `/connect/NAMESPACE/POD?address=…&port=…`,
 * by an upgrade (RFC 9110, 7.8) to the bytes themselves. Kubelet has none: there the API server is on the Pods' network.
 */
export const nodeApiConnect = { action: 'connect', protocol: 'tcp' } as const;

/**
 * Milliseconds after which a connection to a Pod on which nothing moves is given up, by the API server and by the node: as
 * kubelet does with streams.
 */
export const podStreamIdleMs = 4 * 3_600_000;
