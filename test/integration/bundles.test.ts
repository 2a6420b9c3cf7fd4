import { execFileSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { proxyNodeOptions } from '../../src/cluster/node-options.ts';

const root = join(import.meta.dirname, '../..');
const commands = join(root, 'dist/bin/commands');
const bundles = readdirSync(commands).filter((file) => file.endsWith('.cjs'));
// As src/cli/start.ts loads it, but that it says whether V8 took what was compiled.
const probe = `
  const file = process.argv[1];
  const { readFileSync } = require('node:fs');
  const cachedData = readFileSync(file + '.' + require('node:v8').cachedDataVersionTag());
  const source = require('node:module').wrap(readFileSync(file, 'latin1'));
  console.log(new (require('node:vm').Script)(source, { filename: file, cachedData }).cachedDataRejected);
`;

test.each([...bundles.map((bundle) => ({ bundle, options: [] })), { bundle: 'proxy.cjs', options: proxyNodeOptions }])(
  '$bundle lies there compiled for Node with the options $options',
  ({ bundle, options }) => {
    const words = [...options, '--eval', probe, join(commands, bundle)];
    expect(execFileSync(process.execPath, words, { encoding: 'utf8' })).toBe('false\n');
  },
);

test('a command without a bundle of its own is among those that people type', () => {
  const signalbox = (...words: string[]) =>
    execFileSync(process.execPath, [join(root, 'bin/signalbox'), ...words], { encoding: 'utf8', stdio: 'pipe' });
  expect(signalbox('--help')).toMatch(/^ {2}up \[options\][\s\S]*^ {2}proxy \[options\]/m);
  expect(signalbox('proxy', '--help')).toContain('--cleanup');
  for (const word of ['../commands/proxy', 'nonesuch', '']) {
    expect(() => signalbox(word)).toThrow(
      expect.objectContaining({ stderr: expect.stringContaining('unknown command') }),
    );
  }
});
