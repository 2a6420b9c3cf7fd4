import { describe, expect, test } from 'vitest';
import { parseVirtualServers } from './parse.ts';
import { printVirtualServers } from './print.ts';

const text = `-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1
-A -u [fd00::1]:53 -s sh -p 10800 -b sh-fallback,sh-port
-a -u [fd00::1]:53 -r [fd00::2]:5353 -m -w 0
-A --sctp-service 10.96.0.10:80 -s wlc
-A -f 7 -6 -s mh
`;

describe('parseVirtualServers', () => {
  test('reads what printVirtualServers writes', () => {
    expect(printVirtualServers(parseVirtualServers(text))).toBe(text);
  });

  test.each([
    '-A -t 10.96.0.10 -s rr',
    '-A -t 10.96.0.10:80 -s rr --nosuch',
    '-A -t 10.96.0.10:80 -s rr -b sh-port',
    '-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1',
    '-D -t 10.96.0.10:80',
    '-A',
  ])('refuses %s and names the line', (line) => {
    expect(() => parseVirtualServers(line)).toThrow(`the line "${line}"`);
  });
});
