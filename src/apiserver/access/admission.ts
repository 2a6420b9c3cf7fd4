import type { Resource } from '../../api/resources.ts';
import { rbacGroup } from '../../api/validation/rbac.ts';
import type { ApiObject } from '../stored-object.ts';
import type { User } from '../user.ts';
import type { Admission } from './admission-request.ts';
import type { Authorizer } from './authorizer.ts';
import { refuseEscalation } from './escalation.ts';
import { nodeOf } from './node-authorizer.ts';
import { restrictNode } from './node-restriction.ts';
import type { ServiceAccountAdmission } from './service-account-admission.ts';

/** Looks at the object that somebody is about to write. */
export interface Admit {
  /** Before an object is created, which it may complete in place. @throws StatusError */
  create(resource: Resource, object: ApiObject): Promise<void>;
  /** @throws StatusError */
  change(admission: Admission): void;
}

/** What admission asks. */
export interface AdmissionSources {
  readonly authorizer: Authorizer;
  readonly serviceAccounts: ServiceAccountAdmission | undefined;
}

/** Admission of the writes of one user. What the API server itself writes needs none. */
export function admissionFor(user: User, { authorizer, serviceAccounts }: AdmissionSources): Admit {
  const node = nodeOf(user);
  const change = (admission: Admission) => {
    if (node !== undefined) restrictNode(node, admission);
    const { resource, object, old, operation } = admission;
    if (resource.group !== rbacGroup || operation === 'delete') return;
    // Whoever only takes the object out of others' way, as the garbage collector, grants nothing.
    if (old === undefined || grantsChange(object, old)) refuseEscalation({ user, resource, object }, authorizer);
  };
  return {
    change,
    create: async (resource, object) => {
      // A PUT or an apply that finds nothing there creates, and was only asked for the right to change.
      const { group, plural } = resource;
      const { namespace = '', name = '' } = object.metadata;
      const attributes = { verb: 'create', group, resource: plural, subresource: '', namespace, name };
      authorizer.require({ user, attributes, fields: new Map() });
      if (resource.kind === 'Pod' && resource.group === '') await serviceAccounts?.admit(object);
      change({ operation: 'create', resource, object, old: undefined });
    },
  };
}

function grantsChange(object: ApiObject, old: ApiObject): boolean {
  const grants = ({ rules, aggregationRule, roleRef, subjects }: ApiObject) =>
    JSON.stringify([rules, aggregationRule, roleRef, subjects]);
  return grants(object) !== grants(old);
}
