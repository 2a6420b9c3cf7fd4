import { describe, expect, test } from 'vitest';
import { defaultPod } from '../defaults/pod.ts';
import { FieldErrors } from '../field-error.ts';
import type { Container } from '../generated/types.ts';
import { validatePodSpec } from './pod.ts';

describe('validatePodSpec', () => {
  test.each<[Partial<Container>, ...string[]]>([
    [{ lifecycle: { preStop: { exec: { command: ['true'] } }, postStart: { httpGet: { path: '/', port: 80 } } } }],
    [{ lifecycle: { preStop: {} } }, 'lifecycle.preStop: Required value: must specify a handler type'],
    [{ lifecycle: { postStart: { exec: {} } } }, 'lifecycle.postStart.exec.command: Required value'],
    [{ envFrom: [{ prefix: 'A_', secretRef: { name: 's' } }] }],
    [
      { envFrom: [{ prefix: 'A_' }] },
      'envFrom[0]: Invalid value: "": must specify one of: `configMapRef` or `secretRef`',
    ],
    [{ env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }] }],
    [
      { env: [{ name: 'A', valueFrom: { secretKeyRef: { name: 's', key: '' } } }] },
      'env[0].valueFrom.secretKeyRef.key: Required value',
    ],
    [
      {
        volumeMounts: [
          { name: 'v', mountPath: '/a' },
          { name: 'v', mountPath: '/a' },
        ],
      },
      'volumeMounts[1].mountPath: Invalid value: "/a": must be unique',
    ],
  ])('of a container with %j says what is wrong', (container, ...problems) => {
    const spec = { containers: [{ name: 'c', image: 'i', ...container }], volumes: [{ name: 'v', emptyDir: {} }] };
    defaultPod(spec);
    const errors = new FieldErrors();
    validatePodSpec(spec, 'spec', errors);
    expect(errors.list.map(({ field, message }) => `${field}: ${message}`)).toEqual(
      problems.map((problem) => `spec.containers[0].${problem}`),
    );
  });

  test('of sysctls refuses names that no kernel has', () => {
    const names = ['kernel.shmmax', 'net/ipv4/ip_forward', 'foo-', 'bar..', '', 'kernel.shmmax'];
    const sysctls = names.map((name) => ({ name, value: '1' }));
    const spec = { containers: [{ name: 'c', image: 'i' }], securityContext: { sysctls } };
    defaultPod(spec);
    const errors = new FieldErrors();
    validatePodSpec(spec, 'spec', errors);
    expect(errors.list.map(({ field, message }) => `${field}: ${message}`)).toEqual([
      expect.stringMatching(
        /^spec\.securityContext\.sysctls\[2\]\.name: Invalid value: "foo-": must have at most 253 /,
      ),
      expect.stringMatching(/^spec\.securityContext\.sysctls\[3\]\.name: Invalid value: "bar\.\.": /),
      'spec.securityContext.sysctls[4].name: Required value',
      'spec.securityContext.sysctls[5].name: Duplicate value: "kernel.shmmax"',
    ]);
  });
});
