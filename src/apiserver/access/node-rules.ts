import type { PolicyRule } from '../../api/generated/types.ts';
import { eventsRule, groups, readVerbs, rule } from './rules.ts';

const { authentication, authorization, coordination, core } = groups;

/** The rules of the ClusterRole `system:node`. */
export const nodeRules: readonly PolicyRule[] = [
  rule('create', authentication, 'tokenreviews'),
  rule('create', authorization, 'localsubjectaccessreviews subjectaccessreviews'),
  rule(readVerbs, core, 'services'),
  rule(`create ${readVerbs}`, core, 'nodes'),
  rule('patch update', core, 'nodes nodes/status'),
  eventsRule,
  rule(readVerbs, core, 'pods'),
  rule('create delete', core, 'pods'),
  rule('patch update', core, 'pods/status'),
  rule('create', core, 'pods/eviction'),
  rule(readVerbs, core, 'configmaps secrets'),
  rule('get', core, 'endpoints persistentvolumeclaims persistentvolumes'),
  rule('create delete get patch update', coordination, 'leases'),
  rule('create', core, 'serviceaccounts/token'),
];
