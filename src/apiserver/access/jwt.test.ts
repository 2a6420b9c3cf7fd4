import { createPublicKey, generateKeyPairSync, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { jsonWebKeySet, readSigningKey, signToken, verifyToken } from './jwt.ts';

function newKey(namedCurve = 'P-256') {
  return generateKeyPairSync('ec', { namedCurve }).privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
}
const key = readSigningKey(newKey());
const token = signToken({ sub: 'me' }, key);
const [header = '', claims = '', signature = ''] = token.split('.');

test('verifyToken takes what this key has signed, and nothing else', () => {
  expect(verifyToken(token, key)).toEqual({ sub: 'me' });
  expect(verifyToken(token, readSigningKey(newKey()))).toBeUndefined();
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const forged = [
    `${header}.${encode({ sub: 'root' })}.${signature}`,
    `${encode({ alg: 'none' })}.${claims}.`,
    `${encode({ alg: 'none', kid: key.keyId })}.${claims}.${signature}`,
    `${encode({ alg: 'HS256', kid: key.keyId })}.${claims}.${signature}`,
    `${header}.${claims}`,
    `${token}.x`,
    `${header}.${claims}.${signature.slice(0, -4)}`,
    '',
    '..',
    'x'.repeat(1_000_000),
  ];
  for (const text of forged) expect(verifyToken(text, key)).toBeUndefined();
});

test('jsonWebKeySet is enough for others to check a token', () => {
  const { keys } = jsonWebKeySet(key) as { keys: [{ kid: string; kty: string; crv: string; x: string; y: string }] };
  const publicKey = createPublicKey({ key: { ...keys[0] }, format: 'jwk' });
  const content = Buffer.from(`${header}.${claims}`);
  const options = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const;
  expect(verify('sha256', content, options, Buffer.from(signature, 'base64url'))).toBe(true);
  expect(JSON.parse(Buffer.from(header, 'base64url').toString())).toEqual({ alg: 'ES256', kid: keys[0].kid });
  expect(JSON.stringify(keys)).not.toContain('"d"');
});

test('readSigningKey refuses a key of another sort', () => {
  expect(() => readSigningKey(newKey('P-384'))).toThrow('it is not an EC key on P-256');
});
