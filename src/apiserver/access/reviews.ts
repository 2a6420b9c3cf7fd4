import { FieldErrors } from '../../api/field-error.ts';
import type {
  LocalSubjectAccessReview,
  PolicyRule,
  ResourceAttributes as ReviewedResource,
  SelfSubjectAccessReview,
  SelfSubjectRulesReview,
  SubjectAccessReview,
  SubjectAccessReviewSpec,
  TokenReview,
  UserInfo,
} from '../../api/generated/types.ts';
import { type Resource, type ReviewKey, reviews } from '../../api/resources.ts';
import { parseBody } from '../body.ts';
import { bodyTypeOf, decodeBody, readFieldValidation } from '../decode-body.ts';
import { type ApiAnswer, type ApiRequest, jsonAnswer } from '../requests.ts';
import { badRequest, invalid } from '../status.ts';
import type { ApiObject } from '../stored-object.ts';
import type { User } from '../user.ts';
import type { AccessRequest } from './access-request.ts';
import type { Attributes } from './attributes.ts';
import type { Authorizer } from './authorizer.ts';
import { nodeOf } from './node-authorizer.ts';
import type { ServiceAccountTokens } from './service-account-tokens.ts';

/** What reviews are answered from. */
export interface ReviewSources {
  readonly authorizer: Authorizer;
  readonly tokens: ServiceAccountTokens;
}

interface Review extends ReviewSources {
  readonly user: User;
  readonly object: ApiObject;
  /** Of the path. */
  readonly namespace: string;
}

/**
 * Answers a question that is asked by creating an object: the object again, with its status.
 * @throws StatusError
 */
export async function answerReview(
  {
    key,
    namespace = '',
    user,
  }: { readonly key: ReviewKey; readonly namespace: string | undefined; readonly user: User },
  request: ApiRequest,
  sources: ReviewSources,
): Promise<ApiAnswer> {
  const type = bodyTypeOf(reviews[key]);
  const body = await parseBody(request.body, request.headers['content-type'], type.schema);
  const { object, warnings } = decodeBody(body, type, readFieldValidation(request));
  const status = await statuses[key]({ ...sources, user, object, namespace });
  return {
    ...jsonAnswer(201, { ...object, metadata: { creationTimestamp: null, ...object.metadata }, status }),
    warnings,
  };
}

const statuses: { readonly [K in ReviewKey]: (review: Review) => object | Promise<object> } = {
  tokenReviews: reviewToken,
  selfSubjectReviews: ({ user }) => ({ userInfo: userInfoOf(user) }),
  subjectAccessReviews: ({ object, authorizer }) => {
    const resource = reviews.subjectAccessReviews;
    const { spec }: Partial<SubjectAccessReview> = object;
    return reviewAccess(reviewedUser(spec ?? {}, resource), spec ?? {}, { authorizer, resource });
  },
  selfSubjectAccessReviews: ({ object, user, authorizer }) => {
    const { spec }: Partial<SelfSubjectAccessReview> = object;
    return reviewAccess(user, spec ?? {}, { authorizer, resource: reviews.selfSubjectAccessReviews });
  },
  localSubjectAccessReviews: reviewLocalAccess,
  selfSubjectRulesReviews: reviewRules,
};

async function reviewToken({ object, tokens }: Review): Promise<object> {
  const { spec }: Partial<TokenReview> = object;
  if (!spec?.token) throw badRequest('token is required for TokenReview in authentication');
  const audiences = spec.audiences?.length ? spec.audiences : undefined;
  const found = await tokens.authenticate(spec.token, audiences);
  if (found === undefined) return { user: {}, error: 'invalid bearer token' };
  return { authenticated: true, user: userInfoOf(found.user), audiences: found.audiences };
}

function userInfoOf({ name, uid, groups, extra }: User): UserInfo {
  return {
    username: name,
    ...(uid === undefined ? {} : { uid }),
    groups: [...groups],
    ...(extra === undefined ? {} : { extra: Object.fromEntries(Object.entries(extra).map(([k, v]) => [k, [...v]])) }),
  };
}

function reviewLocalAccess({ object, authorizer, namespace }: Review): object {
  const resource = reviews.localSubjectAccessReviews;
  const { spec }: Partial<LocalSubjectAccessReview> = object;
  const errors = new FieldErrors();
  if (spec?.nonResourceAttributes !== undefined)
    errors.invalid('spec.nonResourceAttributes', spec.nonResourceAttributes, 'disallowed on this kind of request');
  if ((spec?.resourceAttributes?.namespace ?? '') !== namespace) {
    const detail = 'must match metadata.namespace';
    errors.invalid('spec.resourceAttributes.namespace', spec?.resourceAttributes?.namespace ?? '', detail);
  }
  if (errors.list.length > 0) throw invalid(resource, '', errors.list);
  return reviewAccess(reviewedUser(spec ?? {}, resource), spec ?? {}, { authorizer, resource });
}

/** The one that is asked about. @throws StatusError 422 */
function reviewedUser({ user = '', groups = [], uid, extra }: SubjectAccessReviewSpec, resource: Resource): User {
  const errors = new FieldErrors();
  if (user === '' && groups.length === 0)
    errors.invalid('spec.user', user, 'at least one of user or group must be specified');
  if (errors.list.length > 0) throw invalid(resource, '', errors.list);
  return { name: user, groups, ...(uid ? { uid } : {}), ...(extra === undefined ? {} : { extra }) };
}

function reviewAccess(
  user: User,
  spec: Pick<SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes'>,
  { authorizer, resource }: { readonly authorizer: Authorizer; readonly resource: Resource },
): object {
  const { resourceAttributes, nonResourceAttributes } = spec;
  const errors = new FieldErrors();
  if ((resourceAttributes === undefined) === (nonResourceAttributes === undefined)) {
    const detail = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
    errors.invalid('spec.resourceAttributes', resourceAttributes, detail);
  }
  if (errors.list.length > 0) throw invalid(resource, '', errors.list);
  const attributes: Attributes =
    resourceAttributes === undefined
      ? { verb: nonResourceAttributes?.verb ?? '', path: nonResourceAttributes?.path ?? '' }
      : reviewedResource(resourceAttributes);
  const access: AccessRequest = { user, attributes, fields: reviewedFields(resourceAttributes) };
  const { allowed, reason } = authorizer.decide(access);
  return { allowed, ...(reason === '' ? {} : { reason }) };
}

function reviewedResource(asked: ReviewedResource): Attributes {
  const { verb = '', group = '', resource = '', subresource = '', namespace = '', name = '' } = asked;
  return { verb, group, resource, subresource, namespace, name };
}

/** The values that the selector in question fixes. */
function reviewedFields(asked: ReviewedResource | undefined): Map<string, string> {
  const requirements = asked?.fieldSelector?.requirements ?? [];
  return new Map(
    requirements.flatMap(({ key, operator, values = [] }): [string, string][] => {
      const [value] = values;
      return operator === 'In' && values.length === 1 && value !== undefined ? [[key, value]] : [];
    }),
  );
}

function reviewRules({ object, user, authorizer }: Review): object {
  const { spec }: Partial<SelfSubjectRulesReview> = object;
  if (!spec?.namespace) throw badRequest('no namespace on request');
  const rules = authorizer.rulesFor(user, spec.namespace);
  const isNode = nodeOf(user) !== undefined;
  return {
    resourceRules: rules.filter((rule) => (rule.resources ?? []).length > 0).map(withoutEmpty),
    nonResourceRules: rules.filter((rule) => (rule.nonResourceURLs ?? []).length > 0).map(withoutEmpty),
    incomplete: isNode,
    ...(isNode ? { evaluationError: 'node authorizer does not support user rule resolution' } : {}),
  };
}

function withoutEmpty(rule: PolicyRule): object {
  return Object.fromEntries(Object.entries(rule).filter(([, list]) => Array.isArray(list) && list.length > 0));
}
