import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { parseIp } from '../net/ip.ts';
import { closePublished, readChoices, readPublished, urlOf, writePublished } from './record.ts';

let folder: string;
let path: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'sbx-published-'));
  path = join(folder, 'published.json');
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const record = {
  choices: { 'default/web nodePort 30080/TCP': '127.0.0.1:30080' },
  ports: [
    {
      key: 'default/web nodePort 30080/TCP',
      service: 'default/web',
      portName: '',
      port: 80,
      protocols: ['TCP'],
      way: 'nodePort',
    },
  ],
} as const;

describe('readPublished', () => {
  it('gives back what was written, for its owner alone', () => {
    writePublished(path, record);
    expect(readPublished(path)).toEqual(record);
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it.each(['', '{', '[]', 'null', '{"choices":{}}', '{"choices":null,"ports":[]}'])(
    'gives nothing for a file of %j, as for none',
    (text) => {
      expect(readPublished(path)).toEqual({ choices: {}, ports: [] });
      writeFileSync(path, text);
      expect(readPublished(path)).toEqual({ choices: {}, ports: [] });
    },
  );
});

describe('closePublished', () => {
  it('keeps what was chosen', () => {
    writePublished(path, record);
    closePublished(path);
    expect(readPublished(path)).toEqual({ choices: record.choices, ports: [] });
  });
});

describe('readChoices', () => {
  it('leaves out what is no address of loopback', () => {
    const choices = { a: '127.1.2.3:80', b: '192.0.2.1:80', c: '127.0.0.1', d: '127.0.0.999:1' };
    expect([...readChoices({ choices, ports: [] })]).toEqual([['a', { ip: '127.1.2.3', port: 80 }]]);
  });
});

describe('urlOf', () => {
  it.each([
    ['http', 80, 'http://127.0.0.1'],
    ['http', 8080, 'http://127.0.0.1:8080'],
    ['https', 443, 'https://127.0.0.1'],
    ['https', 80, 'https://127.0.0.1:80'],
    ['tcp', 80, 'tcp://127.0.0.1:80'],
    ['udp', 53, 'udp://127.0.0.1:53'],
  ] as const)('of %s and port %i is %s', (scheme, port, url) => {
    expect(urlOf({ scheme }, { ip: parseIp('127.0.0.1'), port })).toBe(url);
  });
});
