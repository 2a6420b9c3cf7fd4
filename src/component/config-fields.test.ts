import { describe, expect, test } from 'vitest';
import { parseCidr } from '../net/cidr.ts';
import {
  type ConfigFields,
  readBoolean,
  readConfig,
  readDuration,
  readFields,
  readInteger,
  readList,
  readOneOf,
  readParsed,
  readRecord,
  readSome,
  readText,
} from './config-fields.ts';

const name = 'the test configuration';

function readAll(fields: ConfigFields) {
  return {
    text: fields.required('text', readText),
    integer: fields.optional('integer', readInteger(1, 10)) ?? 7,
    choice: fields.optional('choice', readOneOf(['a', 'b'])),
    isOn: fields.optional('isOn', readBoolean),
    wait: fields.optional('wait', readDuration),
    block: fields.optional('block', readParsed(parseCidr)),
    labels: fields.optional('labels', readRecord(readText)),
    some: fields.optional('some', readSome(readText)),
    listen: fields.optional('listen', readList(readFields((each) => each.required('port', readInteger(0, 65535))))),
    group: fields.group('group', (group) => group.optional('inner', readText)),
  };
}

const read = (value: unknown) => readConfig(value, { name }, readAll);

describe('readConfig', () => {
  test('reads each field as it is told', () => {
    const config = {
      text: 't',
      integer: 1,
      choice: 'b',
      isOn: false,
      wait: '1m30s',
      block: '10.0.0.0/8',
      labels: { 'a/b': 'c' },
      some: ['x', 'y'],
      listen: [{ port: 1 }, { port: 2 }],
      group: { inner: 'i' },
    };
    expect(read(config)).toEqual({
      ...config,
      wait: 90_000,
      block: { family: 'IPv4', base: '10.0.0.0', prefix: 8 },
      listen: [1, 2],
      group: 'i',
    });
  });

  test('takes a field without a value for absent, and an absent group for an empty one', () => {
    const least = { text: 't', integer: 7, group: undefined };
    expect(read({ text: 't', integer: null, isOn: undefined })).toEqual(least);
    expect(read({ text: 't', group: {} })).toEqual(least);
    expect(read({ text: 't', group: null })).toEqual(least);
  });

  test.each([
    [undefined, /^the test configuration undefined is not an object: /],
    [[], /^the test configuration \[\] is not an object/],
    [{}, /^text is missing/],
    [{ text: '' }, /^text "" is not a text/],
    [{ text: 5 }, /^text 5 is not a text/],
    [{ text: 't', integer: 0 }, /^integer 0 is not a whole number from 1 to 10/],
    [{ text: 't', integer: 2.5 }, /^integer 2\.5 is not a whole number/],
    [{ text: 't', integer: '2' }, /^integer "2" is not a whole number/],
    [{ text: 't', choice: 'c' }, /^choice "c" is not among what there is: choose from a, b/],
    [{ text: 't', isOn: 'yes' }, /^isOn "yes" is neither true nor false/],
    [{ text: 't', wait: '5' }, /^wait "5" is not a duration/],
    [{ text: 't', block: '10.0.0.0/33' }, /^block "10\.0\.0\.0\/33" is not a block of addresses/],
    [{ text: 't', labels: { a: { b: 1 } } }, /^labels\.a \{"b":1\} is not a text/],
    [{ text: 't', labels: [] }, /^labels \[\] is not an object/],
    [{ text: 't', some: [] }, /^some is empty/],
    [{ text: 't', some: ['x', 1] }, /^some\[1\] 1 is not a text/],
    [{ text: 't', listen: {} }, /^listen \{\} is not a list/],
    [{ text: 't', listen: [{ port: 1 }, { port: -1 }] }, /^listen\[1\]\.port -1 is not a whole number/],
    [{ text: 't', listen: [{}] }, /^listen\[0\]\.port is missing/],
    [{ text: 't', listen: [null] }, /^listen\[0\] null is not an object/],
    [{ text: 't', listen: [{ port: 1, host: 'x' }] }, /^listen\[0\]\.host is no field .*: .* one of port \[/],
    [{ text: 't', group: { outer: 'x' } }, /^group\.outer is no field of the test configuration/],
    [{ text: 't', group: 'x' }, /^group "x" is not an object/],
    [{ text: 't', toString: 'x' }, /^toString is no field of the test configuration/],
    [JSON.parse('{"text": "t", "__proto__": {}}'), /^__proto__ is no field/],
  ])('refuses %j by path, with INVALID_CONFIG', (value, message) => {
    expect(() => read(value)).toThrow(message);
    expect(() => read(value)).toThrow(expect.objectContaining({ code: 'INVALID_CONFIG' }));
  });

  test('does not take what objects inherit for fields', () => {
    expect(readConfig({}, { name }, (fields) => fields.optional('constructor', readText))).toBeUndefined();
  });

  test('shows no more of a value than fits into a line', () => {
    expect(() => read({ text: Array.from({ length: 1000 }, () => 'x') })).toThrow(/^text .{99}… is not a text/);
  });
});

describe('ConfigRules', () => {
  const zeros = ['', '0s', '0', 0, false, null, [], {}, { a: { b: '' }, c: [] }];
  const rules = { name, zeroIsAbsent: true };

  test.each(zeros)('zeroIsAbsent reads %j as if it was not there', (value) => {
    const reader = () => 'read';
    expect(readConfig({ value }, rules, (fields) => fields.optional('value', reader))).toBeUndefined();
    expect(readConfig({ value: 1 }, rules, (fields) => fields.optional('value', reader))).toBe('read');
  });

  test('without zeroIsAbsent a zero is a value like others', () => {
    expect(readConfig({ value: 0 }, { name }, (fields) => fields.optional('value', readInteger(0, 1)))).toBe(0);
    expect(readConfig({ value: false }, { name }, (fields) => fields.optional('value', readBoolean))).toBe(false);
  });
});

describe('ConfigFields', () => {
  test('refused fields may ask for nothing, and are refused with the reason otherwise', () => {
    const read = (value: unknown) =>
      readConfig(value, { name }, (fields) =>
        fields.group('group', (group) => group.refused({ old: 'is for others' })),
      );
    expect(() => read({ group: { old: { size: 0, after: '0s' } } })).not.toThrow();
    expect(() => read({ group: { old: { size: 1 } } })).toThrow(/^group\.old is for others: remove it/);
  });

  test('explicit takes a zero for a value even where zeroIsAbsent, and null for nothing', () => {
    const read = (value: unknown) =>
      readConfig(value, { name, zeroIsAbsent: true }, (fields) => fields.explicit('n', readInteger(0, 9)));
    expect([read({ n: 0 }), read({ n: null }), read({})]).toEqual([0, undefined, undefined]);
  });

  test.each([
    ['syncperiod', 'syncPeriod'],
    ['syncPeriods', 'syncPeriod'],
    ['mdoe', undefined],
    ['mod', 'mode'],
    ['x', undefined],
    ['s'.repeat(100_000), undefined],
  ])('requireNothingElse names the field that somebody who wrote %.20s may have meant', (field, meant) => {
    const read = () =>
      readConfig({ [field]: 1 }, { name }, (fields) => {
        fields.optional('mode', readText);
        fields.optional('syncPeriod', readText);
      });
    expect(read).toThrow(
      meant === undefined ? /correct its name to one of mode, syncPeriod/ : `did you mean ${meant}?`,
    );
  });
});
