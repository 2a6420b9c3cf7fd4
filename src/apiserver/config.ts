import type { Authenticator } from './authentication.ts';

/** Where the server listens: an address, or a socket that is listening already and was inherited. */
export type Listen = { readonly host: string; readonly port: number } | { readonly fd: number };

/** What an API server has to be told. */
export interface ApiServerConfig {
  readonly listen: readonly Listen[];
  /** Folder of the store. Made if missing. */
  readonly dataDir: string;
  /** PEM texts. Clients are those whose certificate `caCert` has signed. */
  readonly pki: { readonly caCert: string; readonly serverCert: string; readonly serverKey: string };
  /** PEM texts of the certificate with which the server asks nodes for logs and streams; without it, it does not. */
  readonly nodeClient?: { readonly cert: string; readonly key: string };
  /** Blocks of cluster IPs: one, or one of each family with the preferred one first. */
  readonly serviceCidrs: readonly string[];
  readonly nodePortRange: { readonly from: number; readonly to: number };
  /** Where Pods reach this server: the endpoint of Service `kubernetes`. Absent: that Service has none. */
  readonly apiServerAddress?: { readonly ip: string; readonly port: number };
  /** In place of client certificates. */
  readonly authenticate?: Authenticator;
}
