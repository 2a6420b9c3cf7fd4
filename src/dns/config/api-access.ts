import { isDeepStrictEqual } from 'node:util';
import type { ApiAccess } from './types.ts';

/** Whether two configurations have the same API, told in the same way. */
export function isSameApi(a: ApiAccess, b: ApiAccess): boolean {
  const said = ({ kubeconfig, context, apiServer }: ApiAccess) => [kubeconfig, context, apiServer];
  return isDeepStrictEqual(said(a), said(b));
}
