import { describe, expect, test } from 'vitest';
import { parseVirtualServers } from './parse.ts';
import { planServer } from './plan.ts';
import { printCommands, printVirtualServers } from './print.ts';
import type { VirtualServer } from './syntax.ts';

const server = (text: string): VirtualServer | undefined => parseVirtualServers(text)[0];
const empty = (address: string): VirtualServer | undefined => server(`-A ${address} -s rr\n`);

function plan(before: string, after: VirtualServer | undefined, drains = true) {
  const { first, last, result } = planServer(server(before), after, drains);
  return {
    first: printCommands(first),
    last: printCommands(last),
    result: result === undefined ? '' : printVirtualServers([result]),
  };
}

const one = `-A -t 10.96.0.10:80 -s rr
-a -t 10.96.0.10:80 -r 10.244.1.2:8080 -m -w 1
`;
const two = `${one}-a -t 10.96.0.10:80 -r 10.244.1.3:8080 -m -w 1
`;

describe('planServer', () => {
  test('makes a server before its real servers', () => {
    expect(plan('', server(one))).toEqual({ first: one, last: '', result: one });
  });

  test('does nothing where all is right', () => {
    expect(plan(two, server(two))).toEqual({ first: '', last: '', result: two });
  });

  test('gives a real server that leaves no new connections, last of all', () => {
    const quiet = `${one}-a -t 10.96.0.10:80 -r 10.244.1.3:8080 -m -w 0
`;
    expect(plan(two, server(one))).toEqual({
      first: '',
      last: '-e -t 10.96.0.10:80 -r 10.244.1.3:8080 -m -w 0\n',
      result: quiet,
    });
    // And nothing more until its connections have ended, or until it comes back.
    expect(plan(quiet, server(one))).toEqual({ first: '', last: '', result: quiet });
    expect(plan(quiet, server(two)).first).toBe('-e -t 10.96.0.10:80 -r 10.244.1.3:8080 -m -w 1\n');
  });

  test('deletes a real server at once where nothing is waited for', () => {
    expect(plan(two, server(one), false)).toEqual({
      first: '',
      last: '-d -t 10.96.0.10:80 -r 10.244.1.3:8080\n',
      result: one,
    });
  });

  test('keeps a server whose real servers all end, and deletes it where none of them has to', () => {
    const quiet = one.replace('-w 1', '-w 0');
    expect(plan(one, empty('-t 10.96.0.10:80'))).toMatchObject({ result: quiet });
    expect(plan(one, empty('-t 10.96.0.10:80'), false)).toEqual({
      first: '',
      last: '-D -t 10.96.0.10:80\n',
      result: '',
    });
  });

  test('makes no server without real servers', () => {
    expect(plan('', empty('-t 10.96.0.10:80'))).toEqual({ first: '', last: '', result: '' });
  });

  test('edits how connections are shared out, and deletes what nobody wants', () => {
    expect(plan(one, server(one.replace('-s rr', '-s lc -p 60'))).first).toBe('-E -t 10.96.0.10:80 -s lc -p 60\n');
    expect(plan(two, undefined)).toEqual({ first: '', last: '-D -t 10.96.0.10:80\n', result: '' });
  });
});
