import { describe, expect, it } from 'vitest';
import type { Container, Pod } from '../api/generated/types.ts';
import { parseIp } from '../net/ip.ts';
import { configurationReferences, containerEnvironment } from './container-environment.ts';

const pod: Pod = {
  metadata: { name: 'p', namespace: 'ns', uid: 'u', labels: { app: 'x' }, annotations: { 'a/b': 'c' } },
  spec: { nodeName: 'node-1', serviceAccountName: 'default', containers: [] },
};
const configMaps = new Map([['cm', { data: { color: 'blue', size: '4' } }]]);
const secrets = new Map([['sec', { data: { password: Buffer.from('hunter2').toString('base64') } }]]);

function environment(container: Partial<Container>): Record<string, string> {
  return containerEnvironment({
    pod,
    container: { name: 'c', ...container },
    podIps: [parseIp('10.0.0.2'), parseIp('fd00::2')],
    hostIps: [parseIp('192.168.101.3')],
    allocatable: { cpu: '4', memory: '8Gi' },
    configuration: { configMaps, secrets },
    services: { WEB_SERVICE_HOST: '10.96.0.9' },
    hostname: 'p',
  });
}

describe('containerEnvironment', () => {
  it('containerEnvironment begins with path, home, host name and Services', () => {
    expect(environment({})).toEqual({
      PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
      HOME: '/',
      HOSTNAME: 'p',
      WEB_SERVICE_HOST: '10.96.0.9',
    });
  });

  it('containerEnvironment expands what stands above, and overrides Services', () => {
    const env = [
      { name: 'A', value: 'a' },
      { name: 'B', value: '$(A)$(WEB_SERVICE_HOST)$(C)' },
      { name: 'C', value: 'c' },
      { name: 'WEB_SERVICE_HOST', value: 'mine' },
      { name: 'PATH', value: '/x' },
    ];
    expect(environment({ env })).toMatchObject({
      A: 'a',
      B: 'a10.96.0.9$(C)',
      C: 'c',
      WEB_SERVICE_HOST: 'mine',
      PATH: '/x',
    });
  });

  it.each([
    ['metadata.name', 'p'],
    ['metadata.namespace', 'ns'],
    ['metadata.uid', 'u'],
    ["metadata.labels['app']", 'x'],
    ["metadata.annotations['a/b']", 'c'],
    ["metadata.labels['none']", ''],
    ['spec.nodeName', 'node-1'],
    ['spec.serviceAccountName', 'default'],
    ['status.hostIP', '192.168.101.3'],
    ['status.podIP', '10.0.0.2'],
    ['status.podIPs', '10.0.0.2,fd00::2'],
  ])('containerEnvironment takes the field %s', (fieldPath, value) => {
    expect(environment({ env: [{ name: 'F', valueFrom: { fieldRef: { fieldPath } } }] }).F).toBe(value);
  });

  it.each([
    [{ resource: 'limits.cpu' }, '1'],
    [{ resource: 'limits.cpu', divisor: '1m' }, '250'],
    [{ resource: 'limits.memory', divisor: '1Mi' }, '64'],
    [{ resource: 'requests.cpu', divisor: '1m' }, '250'],
    [{ resource: 'limits.ephemeral-storage' }, '0'],
  ])('containerEnvironment takes the resource %j', (resourceFieldRef, value) => {
    const resources = { limits: { cpu: '250m', memory: '64Mi' } };
    expect(environment({ resources, env: [{ name: 'R', valueFrom: { resourceFieldRef } }] }).R).toBe(value);
  });

  it('containerEnvironment: without a limit the node is the limit', () => {
    const env = [{ name: 'R', valueFrom: { resourceFieldRef: { resource: 'limits.cpu' } } }];
    expect(environment({ env }).R).toBe('4');
  });

  it('containerEnvironment takes ConfigMaps and Secrets, whole and by key', () => {
    const container = {
      envFrom: [{ prefix: 'CM_', configMapRef: { name: 'cm' } }, { secretRef: { name: 'sec' } }],
      env: [
        { name: 'KEY', valueFrom: { configMapKeyRef: { name: 'cm', key: 'color' } } },
        { name: 'SECRET', valueFrom: { secretKeyRef: { name: 'sec', key: 'password' } } },
        { name: 'NONE', valueFrom: { configMapKeyRef: { name: 'cm', key: 'none', optional: true } } },
        { name: 'CM_size', value: '$(CM_size)0' },
      ],
    };
    const variables = environment(container);
    expect(variables).toMatchObject({
      CM_color: 'blue',
      CM_size: '40',
      password: 'hunter2',
      KEY: 'blue',
      SECRET: 'hunter2',
    });
    expect(variables).not.toHaveProperty('NONE');
  });

  it.each<[string, Partial<Container>, RegExp]>([
    ['ConfigMap', { envFrom: [{ configMapRef: { name: 'no' } }] }, /ConfigMap ns\/no does not exist/],
    ['Secret', { envFrom: [{ secretRef: { name: 'no' } }] }, /Secret ns\/no does not exist/],
    [
      'key',
      { env: [{ name: 'K', valueFrom: { configMapKeyRef: { name: 'cm', key: 'no' } } }] },
      /ConfigMap ns\/cm has no key "no"/,
    ],
    ['field', { env: [{ name: 'K', valueFrom: { fieldRef: { fieldPath: 'spec.x' } } }] }, /spec\.x is not a field/],
  ])('containerEnvironment says which %s is missing', (_, container, message) => {
    expect(() => environment(container)).toThrow(message);
  });

  it('containerEnvironment goes without what is optional', () => {
    expect(environment({ envFrom: [{ configMapRef: { name: 'no', optional: true } }] })).toHaveProperty('PATH');
  });
});

describe('configurationReferences', () => {
  it('configurationReferences names all that containers and volumes refer to', () => {
    const references = configurationReferences({
      spec: {
        initContainers: [{ name: 'i', envFrom: [{ configMapRef: { name: 'a' } }] }],
        containers: [{ name: 'c', env: [{ name: 'X', valueFrom: { secretKeyRef: { name: 'b', key: 'k' } } }] }],
        volumes: [
          { name: 'v', configMap: { name: 'c' } },
          { name: 'w', secret: { secretName: 'd' } },
          { name: 'x', projected: { sources: [{ configMap: { name: 'e' } }, { secret: { name: 'f' } }] } },
        ],
      },
    });
    expect([[...references.configMaps].sort(), [...references.secrets].sort()]).toEqual([
      ['a', 'c', 'e'],
      ['b', 'd', 'f'],
    ]);
  });
});
