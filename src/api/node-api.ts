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
