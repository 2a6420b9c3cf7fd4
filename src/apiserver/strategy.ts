import type { FieldErrors } from '../api/field-error.ts';
import type { ObjectMeta } from '../api/generated/types.ts';
import type { TextCheck } from '../api/names.ts';
import type { KubernetesObject } from '../api/object.ts';

/** How one column of a Table is called and typed; `priority` 1 shows with `-o wide` only. */
export interface Column<T> {
  readonly name: string;
  readonly type: 'string' | 'integer' | 'date';
  readonly format?: 'name';
  readonly description: string;
  readonly priority: 0 | 1;
  readonly value: (object: T) => string | number;
}

/** What is particular about one resource; everything else is the same for all. Absent parts mean "nothing special". */
export interface Strategy<T extends KubernetesObject> {
  /** What names of objects are like. */
  readonly name: TextCheck;
  /** Sets in place what the object leaves open; runs on whatever a client sends, new or changed. */
  readonly defaults?: (object: T) => void;
  /** Sets in place what only the server may say of a new object. Runs after the defaults. */
  readonly prepareForCreate?: (object: T) => void;
  /** Takes back, in place, what a client may not change with an update of the main resource. */
  readonly prepareForUpdate?: (next: T, old: T) => void;
  readonly validate?: (object: T, errors: FieldErrors) => void;
  readonly validateUpdate?: (next: T, old: T, errors: FieldErrors) => void;
  /**
   * What one version of the API asks for beside, by its name. Runs on what is written in that version; `old` is absent
   * for a new object.
   */
  readonly validateVersion?: {
    readonly [apiVersion: string]: (next: T, old: T | undefined, errors: FieldErrors) => void;
  };
  /** Part of the object that `metadata.generation` counts the changes of; absent: it is not counted. */
  readonly generationOf?: (object: T) => unknown;
  /** Whether a PUT to a name that does not exist creates the object. */
  readonly createOnUpdate?: boolean;
  /**
   * What of the metadata an update of the status leaves as it is. All else it takes, as in Kubernetes: controllers mark
   * what they work on with labels, annotations and finalizers, and some have rights for `status` and nothing more.
   */
  readonly statusKeeps?: readonly (keyof ObjectMeta)[] | undefined;
  /** Whether an update has to say which version of the object it was made from. */
  readonly needsVersion?: boolean;
  /** What whoever writes an object is told of it, though it is taken. */
  readonly warnings?: (object: T) => readonly string[];
  /** What every client of the resource is told: that it goes, and what comes in its place. */
  readonly deprecation?: string;
  /** Whether a delete answers with the object instead of a Status. */
  readonly returnsDeleted?: boolean;
  /** Fields that field selectors may name, beside name and namespace. */
  readonly selectableFields?: { readonly [field: string]: (object: T) => string };
  /** Seconds that a deleted object stays, so that its agent can finish; the request's own wish comes along. */
  readonly gracePeriod?: (object: T, asked: number | undefined) => number;
  readonly columns: readonly Column<T>[];
}
