import { describe, expect, test } from 'vitest';
import { portTaken } from './port-taken.ts';

describe('portTaken', () => {
  test.each([
    ['EADDRINUSE', /end who listens there/],
    ['EADDRNOTAVAIL', /an address .* that this machine has/],
    ['EACCES', /CAP_NET_BIND_SERVICE/],
    ['EMFILE', /end who listens there/],
  ])('says what to do about %s', (code, remedy) => {
    const error = portTaken('192.0.2.1:53 UDP', Object.assign(new Error(`bind: ${code}`), { code }));
    expect(error.message).toMatch(new RegExp(`^192\\.0\\.2\\.1:53 UDP cannot be listened on \\(bind: ${code}\\)`));
    expect(error.message).toMatch(remedy);
  });
});
