import type { Resource } from '../../api/resources.ts';
import type { ApiObject } from '../stored-object.ts';

/** A write that is allowed as far as its path goes, and its object. */
export interface Admission {
  readonly operation: 'create' | 'update' | 'delete';
  readonly resource: Resource;
  /** With defaults set; the stored one of a delete. May be changed in place when it is created. */
  readonly object: ApiObject;
  readonly old: ApiObject | undefined;
}
