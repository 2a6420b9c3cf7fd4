/** Whose turn it is: the caller's input, the machine, a state in the way, a wait, or a bug of ours. */
export type ErrorKind = 'input' | 'environment' | 'conflict' | 'unavailable' | 'internal';

/** What a code means in general. The occasion's own words come with each error. Documented in docs/errors.md. */
export interface ErrorEntry {
  readonly kind: ErrorKind;
  readonly summary: string;
}

const registry = {
  INVALID_ADDRESS: { kind: 'input', summary: 'A text is not an IP address.' },
  INVALID_CIDR: { kind: 'input', summary: 'A text is not a block of IP addresses.' },
  ADDRESS_OUT_OF_RANGE: { kind: 'input', summary: 'A block of addresses is too small for what is asked of it.' },
  INVALID_CONFIG: { kind: 'input', summary: 'A configuration file or value is not as documented.' },
  KUBECONFIG_NOT_FOUND: { kind: 'input', summary: 'There is no kubeconfig, or it lacks the context asked for.' },
  INVALID_KUBECONFIG: { kind: 'input', summary: 'A kubeconfig cannot be read, or asks for what is not supported.' },
  CREDENTIAL_FAILED: { kind: 'environment', summary: 'The credentials for an API server could not be obtained.' },
  API_UNREACHABLE: { kind: 'unavailable', summary: 'No answer came from the API server.' },
  API_UNTRUSTED: {
    kind: 'environment',
    summary: "The API server and its client do not accept each other's certificate.",
  },
  API_UNAUTHENTICATED: {
    kind: 'environment',
    summary: 'The API server does not know who asks: a token or certificate is missing, expired or of another cluster.',
  },
  API_FORBIDDEN: { kind: 'environment', summary: 'A component lacks a right at the API server; it is named.' },
  API_NOT_SERVED: {
    kind: 'environment',
    summary: 'The API server is too old, or does not have a resource that is needed.',
  },
  STORE_CORRUPTED: { kind: 'environment', summary: 'The data of the store is damaged or missing.' },
  STORE_COMPACTED: { kind: 'conflict', summary: 'A revision was asked for that the store no longer keeps.' },
  STORE_FAILED: { kind: 'environment', summary: 'The store could not write and takes no more writes.' },
  LEADERSHIP_LOST: { kind: 'unavailable', summary: 'A component could not renew its lease in time, and gave way.' },
  STORE_FULL: { kind: 'environment', summary: 'There is no room for what was to be stored; reading goes on.' },
  STORE_LOCKED: { kind: 'conflict', summary: 'Another process has the data folder open.' },
  STORE_TOO_LARGE: { kind: 'input', summary: 'The store takes no object of this size.' },
  STORE_UNAVAILABLE: { kind: 'unavailable', summary: 'The store is in another process, which does not answer.' },
  STORE_UNREADABLE: { kind: 'environment', summary: 'The data folder is not a store, or is damaged.' },
  NOT_MAIN_THREAD: { kind: 'internal', summary: 'A namespace call was made outside the main thread.' },
  NAMESPACE_FAILED: { kind: 'environment', summary: 'A Linux namespace could not be made, entered or removed.' },
  USER_NAMESPACES_FORBIDDEN: { kind: 'environment', summary: 'An ordinary user may not make user namespaces here.' },
  KERNEL_LACKS_NFTABLES: { kind: 'environment', summary: 'The kernel has no usable nf_tables.' },
  KERNEL_LACKS_IPVS: { kind: 'environment', summary: 'The kernel lacks IPVS, or a part of it that was asked for.' },
  KERNEL_LACKS_FEATURE: { kind: 'environment', summary: 'The kernel lacks something that was asked for.' },
  KERNEL_REFUSED: { kind: 'environment', summary: 'The kernel refused a change.' },
  KERNEL_MESSAGE_TOO_LARGE: { kind: 'environment', summary: 'A change is larger than the kernel takes at once here.' },
  CLUSTER_START_FAILED: { kind: 'environment', summary: 'A cluster could not be started; its log says more.' },
  CLUSTER_NOT_RUNNING: {
    kind: 'conflict',
    summary: 'A command needs a running cluster, and there is none of that name.',
  },
  CLUSTER_RUNS_DIFFERENTLY: { kind: 'conflict', summary: 'A running cluster was started with other options.' },
  CLUSTER_NOT_STOPPED: { kind: 'environment', summary: 'A process of a cluster outlived SIGKILL.' },
  CLUSTER_NOT_READY: { kind: 'unavailable', summary: 'Not all was Ready when the time given was over.' },
  COMPONENT_NOT_READY: {
    kind: 'environment',
    summary: 'A component did not come up in the time given; its log says more.',
  },
  STATE_UNREADABLE: { kind: 'environment', summary: "A cluster's record on disk cannot be read." },
  STATE_UNWRITABLE: { kind: 'environment', summary: "A cluster's folders cannot be made." },
  HOST_ROUTE_FORBIDDEN: { kind: 'environment', summary: "Only root may lead a cluster's networks to its machine." },
  NETWORKS_OVERLAP: {
    kind: 'conflict',
    summary: 'A network of a cluster that is to be routed to its machine is in use there.',
  },
  PORT_TAKEN: { kind: 'conflict', summary: 'A port of this machine is in use or may not be used.' },
  MANIFEST_UNREADABLE: { kind: 'input', summary: 'A manifest cannot be read.' },
  MANIFEST_INVALID: { kind: 'input', summary: 'A document of a manifest is not as the API wants it.' },
  COMMAND_TIMED_OUT: { kind: 'unavailable', summary: 'A command run in a cluster did not end in time.' },
  OUTPUT_TOO_LARGE: { kind: 'input', summary: 'A command printed more than is kept.' },
  WAIT_TIMED_OUT: { kind: 'unavailable', summary: 'What a test waited for did not come about in time.' },
  TARGET_NOT_FOUND: { kind: 'input', summary: 'There is no such Pod, container or node to run a command in.' },
  TOO_MANY_ENDPOINTS: { kind: 'input', summary: 'A Service has more endpoints than a proxy mode can balance over.' },
  RELAY_FAILED: { kind: 'environment', summary: 'A relay of the userspace mode could not listen.' },
  PROTOCOL_NOT_RELAYED: { kind: 'input', summary: 'A Service port has a protocol that a proxy mode cannot relay.' },
  INVALID_NFTABLES_TEXT: {
    kind: 'input',
    summary: 'A text is not in the part of the nft language that is understood.',
  },
  INVALID_IPTABLES_TEXT: { kind: 'input', summary: 'A text is not what iptables-save writes.' },
  IPTABLES_ABSENT: { kind: 'environment', summary: 'The machine has no iptables, which the proxy mode needs.' },
  IPTABLES_FAILED: { kind: 'environment', summary: 'iptables refused its input, or could not be run.' },
  IPTABLES_LOCKED: { kind: 'unavailable', summary: 'Another program holds the lock of iptables.' },
  INVALID_IPVS_TEXT: { kind: 'input', summary: 'A text is not what ipvsadm -S writes.' },
  INVALID_IPSET_TEXT: { kind: 'input', summary: 'A text is not what ipset save writes.' },
  CONTAINER_START_FAILED: { kind: 'input', summary: "A container's program could not be started." },
  MOUNT_FAILED: { kind: 'environment', summary: 'A volume or file could not be mounted for a container.' },
  POD_CONFIG_MISSING: { kind: 'conflict', summary: 'A ConfigMap, Secret or key that a Pod needs does not exist.' },
  POD_INVALID: { kind: 'input', summary: 'A Pod refers to something that cannot be.' },
  POD_UNSUPPORTED: { kind: 'input', summary: 'A Pod asks for something that a node cannot do here.' },
  POD_ADDRESSES_EXHAUSTED: { kind: 'environment', summary: 'A node has no free Pod address.' },
  PKI_UNREADABLE: { kind: 'environment', summary: 'A certificate of the cluster cannot be used.' },
  ADDRESS_TAKEN: { kind: 'conflict', summary: 'An address that a device is to have is on another one already.' },
  LISTEN_FAILED: { kind: 'environment', summary: 'An address or socket cannot be listened on.' },
} as const satisfies { readonly [code: string]: ErrorEntry };

export type ErrorCode = keyof typeof registry;
export const errorRegistry: { readonly [C in ErrorCode]: ErrorEntry } = registry;
