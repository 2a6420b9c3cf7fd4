/** What someone asks for, as authorization sees it: something about a resource, or a path that is none. */
export type Attributes = ResourceAttributes | PathAttributes;

/** Parts that a request lacks are empty. */
export interface ResourceAttributes {
  readonly verb: string;
  readonly group: string;
  /** The plural name. */
  readonly resource: string;
  readonly subresource: string;
  /** Empty for the whole cluster. */
  readonly namespace: string;
  /** Empty for all objects, and for one that does not have a name yet. */
  readonly name: string;
}

export interface PathAttributes {
  readonly verb: string;
  readonly path: string;
}

/** `pods`, `pods/log` */
export function combinedResource({ resource, subresource }: ResourceAttributes): string {
  return subresource === '' ? resource : `${resource}/${subresource}`;
}
