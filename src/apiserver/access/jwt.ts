import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign, verify } from 'node:crypto';

/** A key pair that signs tokens (RFC 7519) with ES256, and its name in their headers. */
export interface SigningKey {
  readonly keyId: string;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

/** ECDSA signatures as RFC 7518 writes them: the two numbers, one after the other. */
const dsaEncoding = 'ieee-p1363';
const maxTokenLength = 16_384;

/** Reads a PEM text with an EC private key on P-256. @throws Error when it is another kind of key */
export function readSigningKey(pem: string): SigningKey {
  const privateKey = createPrivateKey(pem);
  if (privateKey.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('it is not an EC key on P-256');
  const publicKey = createPublicKey(privateKey);
  const der = publicKey.export({ type: 'spki', format: 'der' });
  return { keyId: createHash('sha256').update(der).digest('base64url'), privateKey, publicKey };
}

/** A signed token with these claims. */
export function signToken(claims: object, { keyId, privateKey }: SigningKey): string {
  const content = `${encode({ alg: 'ES256', kid: keyId })}.${encode(claims)}`;
  return `${content}.${sign('sha256', Buffer.from(content), { key: privateKey, dsaEncoding }).toString('base64url')}`;
}

/** The claims of a token that this key has signed; nothing for any other text. */
export function verifyToken(token: string, { keyId, publicKey }: SigningKey): unknown {
  const [header = '', claims = '', signature = '', ...more] = token.split('.');
  if (token.length > maxTokenLength || signature === '' || more.length > 0) return undefined;
  const { alg, kid } = (decode(header) ?? {}) as { alg?: unknown; kid?: unknown };
  if (alg !== 'ES256' || (kid !== undefined && kid !== keyId)) return undefined;
  const content = Buffer.from(`${header}.${claims}`);
  const isGenuine = verify('sha256', content, { key: publicKey, dsaEncoding }, Buffer.from(signature, 'base64url'));
  return isGenuine ? decode(claims) : undefined;
}

/** The public key as a JSON Web Key Set (RFC 7517): by it others can check tokens. */
export function jsonWebKeySet({ keyId, publicKey }: SigningKey): object {
  return { keys: [{ use: 'sig', kid: keyId, alg: 'ES256', ...publicKey.export({ format: 'jwk' }) }] };
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function decode(part: string): unknown {
  try {
    return JSON.parse(Buffer.from(part, 'base64url').toString());
  } catch {
    return undefined;
  }
}
