/** Who sends a request. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
  readonly uid?: string;
  /** What else is known of it, by keys that look like label keys. */
  readonly extra?: { readonly [key: string]: readonly string[] };
}

/** Who has proven to be someone. */
export const authenticatedGroup = 'system:authenticated';
