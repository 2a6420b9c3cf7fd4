/**
 * Options of Node for the node proxy of a cluster: what a full load leaves behind is given back. 10,000 Services settle at
 * 120 MiB instead of 170 (bench/README.md).
 */
export const proxyNodeOptions: readonly string[] = ['--max-semi-space-size=4', '--heap-growing-percent=50'];
