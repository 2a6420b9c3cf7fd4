import type { EtcdStoreConfig } from '../store/etcd/etcd-store.ts';
import type { Authenticator } from './authentication.ts';
import type { RequestLimits } from './in-flight.ts';

/** Where the server listens: an address, or a socket that is listening already and was inherited. */
export type Listen = { readonly host: string; readonly port: number } | { readonly fd: number };

/** Parts of admission that can be left out, by Kubernetes' names. */
export const admissionPlugins = ['ServiceAccount'] as const;
export type AdmissionPlugin = (typeof admissionPlugins)[number];
/** Where objects are kept: in a folder of this server's own, made if missing, or in an etcd that several may share. */
export type StoreConfig = { readonly lmdb: { readonly dir: string } } | { readonly etcd: EtcdStoreConfig };

/** What an API server has to be told. */
export interface ApiServerConfig {
  readonly listen: readonly Listen[];
  readonly store: StoreConfig;
  /** PEM texts. Clients are those whose certificate `caCert` has signed. */
  readonly pki: {
    readonly caCert: string;
    readonly serverCert: string;
    readonly serverKey: string;
    /** EC private key on P-256: signs the tokens of service accounts. */
    readonly serviceAccountKey: string;
  };
  /** PEM texts of the certificate with which the server asks nodes for logs and streams; without it, it does not. */
  readonly nodeClient?: { readonly cert: string; readonly key: string };
  /** Who the tokens of service accounts say they are from; also their audience, unless another one is asked for. */
  readonly serviceAccountIssuer: string;
  readonly disabledAdmission: readonly AdmissionPlugin[];
  /** Blocks of cluster IPs: one, or one of each family with the preferred one first. */
  readonly serviceCidrs: readonly string[];
  readonly nodePortRange: { readonly from: number; readonly to: number };
  /** Where Pods reach this server: the endpoint of Service `kubernetes`. Absent: that Service has none. */
  readonly apiServerAddress?: { readonly ip: string; readonly port: number };
  readonly limits: RequestLimits;
  /** In place of client certificates and tokens. */
  readonly authenticate?: Authenticator;
}

/** The issuer of a cluster's tokens, by the domain of its Services. */
export function serviceAccountIssuer(clusterDomain: string): string {
  return `https://kubernetes.default.svc.${clusterDomain}`;
}
