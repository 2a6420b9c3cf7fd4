import { randomUUID } from 'node:crypto';
import type { ObjectMeta, Pod } from '../../api/generated/types.ts';
import { resources } from '../../api/resources.ts';
import { authenticatedGroup, type User } from '../user.ts';
import type { WatchCache } from '../watch-cache.ts';
import { type SigningKey, signToken, verifyToken } from './jwt.ts';
import { serviceAccountGroups, serviceAccountUser } from './service-account-name.ts';

/** An object that a token is bound to. */
interface BoundObject {
  readonly name: string;
  readonly uid: string;
}

/** The claims of a service account's token, as Kubernetes writes them (KEP 1205). Times in seconds since the epoch. */
interface Claims {
  readonly iss: string;
  readonly aud: readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly nbf: number;
  readonly jti: string;
  readonly sub: string;
  readonly 'kubernetes.io': {
    readonly namespace: string;
    readonly serviceaccount: BoundObject;
    readonly pod?: BoundObject;
    readonly node?: BoundObject;
    readonly secret?: BoundObject;
  };
}

/** Whom a token is for, and what its life hangs on. */
export interface TokenSubject {
  readonly namespace: string;
  readonly serviceAccount: BoundObject;
  readonly pod?: BoundObject;
  readonly node?: BoundObject;
  readonly secret?: BoundObject;
}

/** Who a token says one is, and which of the audiences asked for it is for. */
export interface TokenUser {
  readonly user: User;
  readonly audiences: readonly string[];
}

const maxVerified = 1_024;
/** A Pod being deleted can use its token until its time is over, and this much longer. */
const afterDeletionMs = 60_000;

/** Issues tokens for service accounts and says whose a token is. A token dies with what it is bound to. */
export class ServiceAccountTokens {
  readonly issuer: string;
  readonly key: SigningKey;
  readonly #cache: WatchCache;
  /** Signatures checked before; a token's life is looked at each time. */
  readonly #verified = new Map<string, Claims>();

  constructor(cache: WatchCache, { issuer, key }: { readonly issuer: string; readonly key: SigningKey }) {
    this.#cache = cache;
    this.issuer = issuer;
    this.key = key;
  }

  /** `expiresAt` in seconds since the epoch. */
  issue(subject: TokenSubject, { audiences, expiresAt }: { audiences: readonly string[]; expiresAt: number }): string {
    const now = Math.floor(Date.now() / 1000);
    const { namespace, serviceAccount, ...bound } = subject;
    const claims: Claims = {
      aud: audiences,
      exp: expiresAt,
      iat: now,
      iss: this.issuer,
      jti: randomUUID(),
      'kubernetes.io': { namespace, ...bound, serviceaccount: serviceAccount },
      nbf: now,
      sub: serviceAccountUser(namespace, serviceAccount.name),
    };
    return signToken(claims, this.key);
  }

  /** Whose token it is; nothing when it is nobody's, or no longer. */
  async authenticate(token: string, audiences: readonly string[] = [this.issuer]): Promise<TokenUser | undefined> {
    const claims = this.#verify(token);
    if (claims === undefined || claims.iss !== this.issuer) return undefined;
    const now = Date.now() / 1000;
    if (claims.exp <= now || claims.nbf > now + 60) return undefined;
    const meant = audiences.filter((audience) => claims.aud.includes(audience));
    if (meant.length === 0) return undefined;
    if (!this.#isAlive(claims)) {
      // Another API server may have made the token for what this one has not seen yet.
      await this.#cache.waitUntilFresh();
      if (!this.#isAlive(claims)) return undefined;
    }
    return { user: userOf(claims), audiences: meant };
  }

  #verify(token: string): Claims | undefined {
    const known = this.#verified.get(token);
    if (known !== undefined) return known;
    // What this key has signed is what `issue` wrote.
    const claims = verifyToken(token, this.key) as Claims | undefined;
    if (claims === undefined) return undefined;
    const [oldest] = this.#verified.keys();
    if (this.#verified.size >= maxVerified && oldest !== undefined) this.#verified.delete(oldest);
    this.#verified.set(token, claims);
    return claims;
  }

  #isAlive({ 'kubernetes.io': { namespace, serviceaccount, pod, secret, node } }: Claims): boolean {
    const find = (kind: 'serviceAccounts' | 'pods' | 'secrets', { name, uid }: BoundObject): ObjectMeta | undefined => {
      const found = this.#cache.of(resources[kind]).get(`${namespace}/${name}`)?.object.metadata;
      return found?.uid === uid ? found : undefined;
    };
    const isThere = (metadata: ObjectMeta | undefined) =>
      metadata !== undefined &&
      (metadata.deletionTimestamp === undefined ||
        Date.parse(metadata.deletionTimestamp) + afterDeletionMs > Date.now());
    return (
      isThere(find('serviceAccounts', serviceaccount)) &&
      (pod === undefined || isThere(find('pods', pod))) &&
      (secret === undefined || isThere(find('secrets', secret))) &&
      // A Pod's token names the node along, which may have gone; one that is bound to the node alone goes with it.
      (node === undefined || pod !== undefined || this.#hasNode(node))
    );
  }

  #hasNode({ name, uid }: BoundObject): boolean {
    return this.#cache.of(resources.nodes).get(name)?.object.metadata.uid === uid;
  }
}

function userOf({ jti, sub, 'kubernetes.io': { namespace, serviceaccount, pod, node } }: Claims): User {
  const prefix = 'authentication.kubernetes.io';
  return {
    name: sub,
    uid: serviceaccount.uid,
    groups: [...serviceAccountGroups(namespace), authenticatedGroup],
    extra: {
      [`${prefix}/credential-id`]: [`JTI=${jti}`],
      ...(node === undefined ? {} : { [`${prefix}/node-name`]: [node.name], [`${prefix}/node-uid`]: [node.uid] }),
      ...(pod === undefined ? {} : { [`${prefix}/pod-name`]: [pod.name], [`${prefix}/pod-uid`]: [pod.uid] }),
    },
  };
}

/** What a Pod's token is bound to: the Pod, and the node it is on. */
export function boundToPod(pod: Pod, cache: WatchCache): Pick<TokenSubject, 'pod' | 'node'> {
  const { name = '', uid = '' } = pod.metadata ?? {};
  const node = cache.of(resources.nodes).get(pod.spec?.nodeName ?? '')?.object.metadata;
  return { pod: { name, uid }, ...(node === undefined ? {} : { node: { name: node.name, uid: node.uid } }) };
}
