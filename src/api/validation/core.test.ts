import { describe, expect, test } from 'vitest';
import { FieldErrors } from '../field-error.ts';
import type { Secret } from '../generated/types.ts';
import { validateSecret } from './core.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

describe('validateSecret', () => {
  test.each<[Secret, ...string[]]>([
    [{ type: 'Opaque' }],
    [{ type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': base64('{"auths":{}}') } }],
    [
      { type: 'kubernetes.io/dockerconfigjson', data: { '.dockerconfigjson': base64('me:password') } },
      'data[.dockerconfigjson]: Invalid value: "<secret contents redacted>": must be JSON',
    ],
    [{ type: 'kubernetes.io/dockercfg' }, 'data[.dockercfg]: Required value'],
    [{ type: 'kubernetes.io/tls', data: { 'tls.crt': '' } }, 'data[tls.key]: Required value'],
    [{ type: 'kubernetes.io/basic-auth', data: { password: base64('x') } }],
    [{ type: 'kubernetes.io/basic-auth' }, 'data[username]: Required value', 'data[password]: Required value'],
    [
      { type: 'kubernetes.io/service-account-token' },
      'metadata.annotations[kubernetes.io/service-account.name]: Required value',
    ],
  ])('of %j says what is wrong', (secret, ...problems) => {
    const errors = new FieldErrors();
    validateSecret(secret, errors);
    expect(errors.list.map(({ field, message }) => `${field}: ${message}`)).toEqual(problems);
  });
});
