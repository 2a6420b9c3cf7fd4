import { pino } from 'pino';
import { describe, expect, test } from 'vitest';
import { SignalboxError } from '../errors/error.ts';
import { type Right, Troubles } from './troubles.ts';
import { ApiError } from './types.ts';

const list: Right = { verb: 'list', group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices' };
const update: Right = { verb: 'update', group: '', version: 'v1', resource: 'services/status', namespace: 'team' };

const answer = (code: number, message: string) => new ApiError({ kind: 'Status', code, message });
const forbidden = (what: string) =>
  answer(403, `x is forbidden: User "system:serviceaccount:kube-system:p" cannot ${what}`);
const unreachable = new SignalboxError('API_UNREACHABLE', { object: 'API server', problem: 'refuses', remedy: 'wait' });
const untrusted = new SignalboxError('API_UNTRUSTED', { object: 'API server', problem: 'is odd', remedy: 'compare' });

/** Troubles by a clock of the test's own, and the lines they write. */
function telling() {
  const lines: string[] = [];
  const clock = { now: 0 };
  const log = pino(
    { level: 'info' },
    {
      write: (line) => {
        const { level, msg, err, request } = JSON.parse(line);
        lines.push(
          [pino.levels.labels[level], msg, err?.message, request].filter((part) => part !== undefined).join(' | '),
        );
      },
    },
  );
  const server = 'https://api:6443';
  const troubles = new Troubles({ log, server, version: async () => 'v1.20.4', now: () => clock.now });
  return { troubles, lines, clock };
}

describe('Troubles', () => {
  test('Troubles names each missing right once, again when it lasts, and when it is granted', () => {
    const { troubles, lines, clock } = telling();
    for (let i = 0; i < 3; i++) {
      troubles.failed(list, forbidden('list resource "endpointslices"'));
      troubles.failed(update, forbidden('update resource "services/status"'));
    }
    const remedy = 'grant it by a role; docs/join.md lists what each component needs [API_FORBIDDEN]';
    const who = 'system:serviceaccount:kube-system:p';
    const told = [
      `error | a right is missing | ${who} may not list endpointslices.discovery.k8s.io at the cluster scope: ${remedy}`,
      `error | a right is missing | ${who} may not update services/status in namespace team: ${remedy}`,
    ];
    expect(lines).toEqual(told);
    clock.now += 300_000;
    troubles.failed(list, forbidden('list'));
    expect(lines).toEqual([...told, told[0]]);
    troubles.succeeded(list);
    troubles.succeeded(list);
    expect(lines.slice(3)).toEqual([
      'info | the API server grants this now | list endpointslices.discovery.k8s.io at the cluster scope',
    ]);
  });

  test('Troubles takes no other refusal for a missing right', () => {
    const { troubles, lines } = telling();
    troubles.failed(
      update,
      answer(403, 'unable to create new content in namespace team because it is being terminated'),
    );
    troubles.failed(update, answer(404, 'services "x" not found'));
    troubles.failed(update, answer(409, 'the object has been modified'));
    expect(lines).toEqual([]);
  });

  test('Troubles tells of a server that is too old, with its version', async () => {
    const { troubles, lines } = telling();
    troubles.failed(list, answer(404, 'the server could not find the requested resource'));
    await Promise.resolve().then(() => {});
    expect(lines).toEqual([
      'error | the API server is too old | API server https://api:6443 (Kubernetes v1.20.4) does not serve endpointslices of discovery.k8s.io/v1: use a cluster of Kubernetes 1.21 or later [API_NOT_SERVED]',
    ]);
  });

  test('Troubles tells of credentials that are not accepted', () => {
    const { troubles, lines } = telling();
    troubles.failed(list, answer(401, 'Unauthorized'));
    troubles.failed(update, answer(401, 'Unauthorized'));
    expect(lines).toEqual([
      expect.stringMatching(/^error .*does not know who asks \(Unauthorized\).*\[API_UNAUTHENTICATED\]$/),
    ]);
    troubles.succeeded(update);
    expect(lines[1]).toBe('info | the API server accepts the credentials again | credentials');
  });

  test('Troubles tells of a server that is away for longer than a moment, and of its return', () => {
    const { troubles, lines, clock } = telling();
    troubles.failed(list, unreachable);
    clock.now += 1_000;
    troubles.succeeded(list);
    expect(lines).toEqual([]);
    troubles.failed(list, unreachable);
    clock.now += 2_000;
    for (let i = 0; i < 5; i++) troubles.failed(update, unreachable);
    // Another answer than the one hoped for is an answer.
    troubles.failed(update, answer(409, 'conflict'));
    expect(lines).toEqual([
      'warn | the API server is not to be had; tries go on | API server refuses: wait [API_UNREACHABLE]',
      'info | the API server answers again',
    ]);
  });

  test('Troubles tells at once of a server that is not trusted', () => {
    const { troubles, lines } = telling();
    troubles.failed(list, untrusted);
    expect(lines).toEqual([
      'warn | the API server is not to be had; tries go on | API server is odd: compare [API_UNTRUSTED]',
    ]);
  });

  test('Troubles tells of a server that goes on failing', () => {
    const { troubles, lines, clock } = telling();
    troubles.failed(list, answer(500, 'etcdserver: leader changed'));
    clock.now += 2_000;
    troubles.failed(list, answer(503, 'too busy'));
    expect(lines).toEqual([
      'warn | the API server fails; tries go on | too busy | list endpointslices.discovery.k8s.io at the cluster scope',
    ]);
  });
});
