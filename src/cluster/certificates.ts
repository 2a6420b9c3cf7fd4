import { nodeApiClient } from '../api/node-api.ts';
import { apiServerNames, ensurePki, issueClientCertificate, issueServingCertificate } from '../apiserver/pki.ts';
import { clusterIdentities, servingName } from './component-specs.ts';
import type { ClusterPlan } from './plan.ts';
import type { ClusterPaths } from './state.ts';

/**
 * Makes what is missing of a cluster's certificates: its authority, the API server's, and one of each component. What
 * is there and good is kept, so that whoever comes second has nothing to do.
 * @throws SignalboxError `PKI_UNREADABLE`
 */
export async function prepareCertificates(paths: ClusterPaths, plan: ClusterPlan): Promise<void> {
  const ips = [...plan.apiServers, ...plan.kubernetesServiceIps];
  await ensurePki(paths.pki, apiServerNames({ clusterDomain: plan.domain, ips }));
  // What API server and nodes know each other by.
  await issueClientCertificate(paths.pki, { user: nodeApiClient, groups: [] });
  for (const node of plan.nodes) {
    await issueServingCertificate(paths.pki, servingName(node), { names: [node.name], ips: [...node.ips] });
  }
  for (const identity of clusterIdentities(plan)) await issueClientCertificate(paths.pki, identity);
}
