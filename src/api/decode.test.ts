import { expect, test } from 'vitest';
import { DecodeError, decodeObject } from './decode.ts';

test('decodeObject keeps what the type has and names the paths of the rest', () => {
  const raw = {
    kind: 'Service',
    spec: { ports: [{ port: 80 }, { port: 81, prot: 'TCP' }], foo: 1, selector: { a: 'b' }, clusterIP: null },
    extra: true,
  };
  expect(decodeObject('Service', raw)).toEqual({
    object: { kind: 'Service', spec: { ports: [{ port: 80 }, { port: 81 }], selector: { a: 'b' } } },
    unknown: ['spec.ports[1].prot', 'spec.foo', 'extra'],
  });
});

test.each([
  [
    { spec: { ports: [{ port: '80' }] } },
    'json: cannot unmarshal string into Go struct field ServicePort.spec.ports.port of type int32',
  ],
  [
    { spec: { ports: {} } },
    'json: cannot unmarshal object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort',
  ],
  [{ spec: [] }, 'json: cannot unmarshal array into Go struct field Service.spec of type v1.ServiceSpec'],
  [
    { spec: { selector: { a: 1 } } },
    'json: cannot unmarshal number into Go struct field ServiceSpec.spec.selector.a of type string',
  ],
  [
    { spec: { ports: [{ port: 1.5 }] } },
    'json: cannot unmarshal number 1.5 into Go struct field ServicePort.spec.ports.port of type int32',
  ],
])('decodeObject says which field of %j has the wrong type', (raw, message) => {
  expect(() => decodeObject('Service', raw)).toThrow(new DecodeError(message));
});

test('decodeObject takes bytes as base64, and nothing else', () => {
  expect(decodeObject('Secret', { data: { a: 'eA==\n', b: null } }).object).toEqual({ data: { a: 'eA==', b: '' } });
  expect(() => decodeObject('Secret', { data: { a: 'not base64' } })).toThrow(
    new DecodeError('illegal base64 data at input byte 3'),
  );
});

test('decodeObject writes times as Kubernetes does, and takes nothing else for one', () => {
  const lease = (renewTime: string) => ({ metadata: { creationTimestamp: renewTime }, spec: { renewTime } });
  expect(decodeObject('Lease', lease('2026-11-23T18:00:00.5+01:00')).object).toEqual({
    metadata: { creationTimestamp: '2026-11-23T17:00:00Z' },
    spec: { renewTime: '2026-11-23T17:00:00.500000Z' },
  });
  expect(() => decodeObject('Lease', { spec: { renewTime: 'now' } })).toThrow(
    'parsing time "now" as "2006-01-02T15:04:05.000000Z07:00"',
  );
});

test('decodeObject takes numbers as quantities', () => {
  const { object } = decodeObject('ResourceRequirements', { limits: { cpu: 2, memory: '1Gi' } });
  expect(object).toEqual({ limits: { cpu: '2', memory: '1Gi' } });
});

test('decodeObject makes a key of a map of any name', () => {
  const { object } = decodeObject('ConfigMap', JSON.parse('{"data":{"__proto__":"x","constructor":"y"}}'));
  expect(JSON.stringify(object)).toBe('{"data":{"__proto__":"x","constructor":"y"}}');
  expect(({} as { x?: string }).x).toBeUndefined();
});
