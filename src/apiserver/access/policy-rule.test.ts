import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { PolicyRule } from '../../api/generated/types.ts';
import type { ResourceAttributes } from './attributes.ts';
import { formatRule, missingRules, ruleAllows } from './policy-rule.ts';

const asked = (text: string): ResourceAttributes => {
  const [verb = '', what = '', name = ''] = text.split(' ');
  const [qualified = '', subresource = ''] = what.split('/');
  const [resource = '', ...group] = qualified.split('.');
  return { verb, group: group.join('.'), resource, subresource, namespace: 'n', name };
};

const rule = (verbs: string, groups: string, resources: string, names = ''): PolicyRule => ({
  verbs: verbs.split(' '),
  apiGroups: groups.split(','),
  resources: resources.split(' '),
  ...(names === '' ? {} : { resourceNames: names.split(' ') }),
});

describe('ruleAllows', () => {
  test.each<[PolicyRule, string, boolean]>([
    [rule('get list', '', 'pods'), 'get pods', true],
    [rule('get list', '', 'pods'), 'watch pods', false],
    [rule('get', '', 'pods'), 'get pods.apps', false],
    [rule('get', 'apps', 'deployments'), 'get deployments.apps x', true],
    [rule('*', '*', '*'), 'anything deployments.apps/scale x', true],
    [rule('get', '', 'pods'), 'get pods/log x', false],
    [rule('get', '', 'pods/log'), 'get pods/log x', true],
    [rule('get', '', 'pods/log'), 'get pods x', false],
    [rule('get', '*', '*/scale'), 'get deployments.apps/scale x', true],
    [rule('get', '*', '*/scale'), 'get deployments.apps x', false],
    [rule('get', '', 'pods/*'), 'get pods/log x', false],
    [rule('get', '', 'secrets', 'a b'), 'get secrets b', true],
    [rule('get', '', 'secrets', 'a b'), 'get secrets c', false],
    [rule('create', '', 'secrets', 'a'), 'create secrets', false],
    [{ verbs: ['get'], nonResourceURLs: ['*'] }, 'get pods', false],
    [{ verbs: ['get'] }, 'get pods', false],
  ])('ruleAllows(%j, %s) is %s', (given, question, answer) => {
    expect(ruleAllows(given, asked(question))).toBe(answer);
  });

  test.each<[string, string, boolean]>([
    ['/healthz', '/healthz', true],
    ['/healthz', '/healthz/ping', false],
    ['/apis/*', '/apis/apps/v1', true],
    ['/apis/*', '/apis', false],
    ['/api*', '/apis', true],
    ['*', '/metrics', true],
    ['/api/*/v1', '/api/x/v1', false],
  ])('ruleAllows for the URL %s and the path %s is %s', (url, path, answer) => {
    expect(ruleAllows({ verbs: ['get'], nonResourceURLs: [url] }, { verb: 'get', path })).toBe(answer);
    expect(ruleAllows({ verbs: ['post'], nonResourceURLs: [url] }, { verb: 'get', path })).toBe(false);
  });
});

describe('missingRules', () => {
  test.each<[PolicyRule[], PolicyRule[], string[]]>([
    [[rule('get list', '', 'pods')], [rule('get', '', 'pods')], []],
    [
      [rule('get', '', 'pods')],
      [rule('get list', '', 'pods services')],
      [
        '{APIGroups:[""], Resources:["services"], Verbs:["get"]}',
        '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
        '{APIGroups:[""], Resources:["services"], Verbs:["list"]}',
      ],
    ],
    // Everything there is today is not everything.
    [
      [rule('get list watch create update patch delete', '', 'pods')],
      [rule('*', '', 'pods')],
      ['{APIGroups:[""], Resources:["pods"], Verbs:["*"]}'],
    ],
    [[rule('*', '*', '*')], [rule('*', 'apps', '*'), rule('get', '', 'pods/log', 'x')], []],
    [
      [rule('get', '', 'secrets', 'a')],
      [rule('get', '', 'secrets')],
      ['{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}'],
    ],
    [[rule('get', '', 'secrets', 'a b')], [rule('get', '', 'secrets', 'a')], []],
    [[rule('get', '', '*/scale')], [rule('get', '', 'things/scale')], []],
    [[rule('*', '*', '*')], [{ verbs: ['get'], nonResourceURLs: ['/x'] }], ['{NonResourceURLs:["/x"], Verbs:["get"]}']],
    [[{ verbs: ['get'], nonResourceURLs: ['/x/*'] }], [{ verbs: ['get'], nonResourceURLs: ['/x/y/*'] }], []],
    [
      [{ verbs: ['get'], nonResourceURLs: ['/x/y'] }],
      [{ verbs: ['get'], nonResourceURLs: ['/x/*'] }],
      ['{NonResourceURLs:["/x/*"], Verbs:["get"]}'],
    ],
  ])('missingRules(%j, %j)', (held, wanted, missing) => {
    expect(missingRules(held, wanted).map(formatRule)).toEqual(missing);
  });

  const some = (...of: string[]) => fc.subarray(of, { minLength: 1 });
  const anyRule: fc.Arbitrary<PolicyRule> = fc.record({
    verbs: some('get', 'list', '*'),
    apiGroups: some('', 'apps', '*'),
    resources: some('pods', 'pods/log', '*/log', '*'),
    resourceNames: fc.subarray(['a', 'b']),
  });

  test('missingRules leaves nothing out: whoever misses no rule may do all that the rules allow', () => {
    const question = fc.record({
      verb: fc.constantFrom('get', 'list', 'delete'),
      group: fc.constantFrom('', 'apps', 'batch'),
      resource: fc.constantFrom('pods', 'jobs'),
      subresource: fc.constantFrom('', 'log', 'scale'),
      namespace: fc.constant('n'),
      name: fc.constantFrom('', 'a', 'b', 'c'),
    });
    fc.assert(
      fc.property(fc.array(anyRule), fc.array(anyRule), question, (held, wanted, attributes) => {
        const isAllowed = (rules: readonly PolicyRule[]) => rules.some((one) => ruleAllows(one, attributes));
        if (isAllowed(wanted)) expect(isAllowed([...held, ...missingRules(held, wanted)])).toBe(true);
      }),
      { numRuns: 500 },
    );
  });
});
