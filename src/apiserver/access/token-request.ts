import { FieldErrors } from '../../api/field-error.ts';
import type { BoundObjectReference, Pod, TokenRequest, TokenRequestSpec } from '../../api/generated/types.ts';
import { resources } from '../../api/resources.ts';
import type { ParsedBody } from '../body.ts';
import { decodeBody } from '../decode-body.ts';
import { kubernetesTime } from '../object-meta.ts';
import { type ApiAnswer, jsonAnswer } from '../requests.ts';
import { badRequest, conflict, forbidden, invalid, notFound } from '../status.ts';
import type { StoredObject } from '../stored-object.ts';
import type { User } from '../user.ts';
import type { WatchCache } from '../watch-cache.ts';
import { nodeOf } from './node-authorizer.ts';
import { boundToPod, type ServiceAccountTokens, type TokenSubject } from './service-account-tokens.ts';

const bodyType = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', schema: 'TokenRequest' };
const defaultSeconds = 3_600;
const minSeconds = 600;
const maxSeconds = 2 ** 32;

/** What a token is made from. */
export interface TokenIssue {
  readonly account: StoredObject;
  readonly user: User;
  readonly cache: WatchCache;
  readonly tokens: ServiceAccountTokens;
}

/**
 * Answers a TokenRequest: a new token for a service account, bound to an object if one is named.
 * @throws StatusError
 */
export function requestToken(body: ParsedBody, issue: TokenIssue): ApiAnswer {
  const request: TokenRequest = decodeBody(body, bodyType, 'Ignore').object;
  const spec = request.spec ?? {};
  const { name, namespace = '' } = issue.account.object.metadata;
  if (request.metadata?.name && request.metadata.name !== name)
    throw badRequest(`must match the service account name: ${JSON.stringify(request.metadata.name)}`);
  const expirationSeconds = readSeconds(spec);
  const audiences = spec.audiences?.length ? spec.audiences : [issue.tokens.issuer];
  const bound = readBound(spec.boundObjectRef, namespace, issue);
  const { uid } = issue.account.object.metadata;
  const subject: TokenSubject = { namespace, serviceAccount: { name, uid }, ...bound };
  admitNode(subject, issue);
  const expiresAt = Math.floor(Date.now() / 1000) + expirationSeconds;
  const token = issue.tokens.issue(subject, { audiences, expiresAt });
  const expirationTimestamp = kubernetesTime(new Date(expiresAt * 1000));
  return jsonAnswer(201, {
    kind: 'TokenRequest',
    apiVersion: bodyType.apiVersion,
    metadata: { name, namespace, creationTimestamp: kubernetesTime() },
    spec: { audiences, expirationSeconds, boundObjectRef: spec.boundObjectRef ?? null },
    status: { token, expirationTimestamp },
  });
}

function readSeconds({ expirationSeconds = defaultSeconds }: TokenRequestSpec): number {
  const errors = new FieldErrors();
  const field = 'spec.expirationSeconds';
  if (expirationSeconds < minSeconds)
    errors.invalid(field, expirationSeconds, 'may not specify a duration less than 10 minutes');
  if (expirationSeconds > maxSeconds)
    errors.invalid(field, expirationSeconds, 'may not specify a duration larger than 2^32 seconds');
  if (errors.list.length > 0) throw invalid({ group: 'authentication.k8s.io', kind: 'TokenRequest' }, '', errors.list);
  return expirationSeconds;
}

type Bound = Omit<TokenSubject, 'namespace' | 'serviceAccount'>;

function readBound(ref: BoundObjectReference | undefined, namespace: string, { account, cache }: TokenIssue): Bound {
  if (ref === undefined || ref === null) return {};
  const { kind = '', apiVersion = '', name = '', uid } = ref;
  const kinds = { Pod: resources.pods, Secret: resources.secrets, Node: resources.nodes } as const;
  const resource = kinds[kind as keyof typeof kinds];
  if (resource === undefined || apiVersion !== 'v1')
    throw badRequest(`cannot bind token to object of type ${apiVersion}, Kind=${kind}`);
  const found = cache.of(resource).get(resource.namespaced ? `${namespace}/${name}` : name);
  if (found === undefined) throw notFound(resource, name);
  const { metadata } = found.object;
  if (uid && uid !== metadata.uid) {
    const problem = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`;
    throw conflict(resource, name, problem);
  }
  const object = { name, uid: metadata.uid };
  if (kind === 'Secret') return { secret: object };
  if (kind === 'Node') return { node: object };
  const pod = found.object as unknown as Pod;
  const own = pod.spec?.serviceAccountName ?? '';
  if (own !== account.object.metadata.name)
    throw badRequest(
      `cannot bind token for serviceaccount "${account.object.metadata.name}" to pod running with different serviceaccount name.`,
    );
  return boundToPod(pod, cache);
}

/** A node gets tokens for its own Pods only, bound to them. */
function admitNode(subject: TokenSubject, { user, account }: TokenIssue): void {
  const node = nodeOf(user);
  if (node === undefined) return;
  const refuse = (problem: string) =>
    forbidden({ group: '', plural: 'serviceaccounts' }, account.object.metadata.name, problem);
  if (subject.pod === undefined) throw refuse(`node ${JSON.stringify(node)} requested token not bound to a pod`);
  if (subject.node?.name !== node) throw refuse(`node requested token bound to a pod scheduled on a different node`);
}
