import { describe, expect, test } from 'vitest';
import { parseConfigText } from './config-file.ts';

const parse = (text: string) => parseConfigText(text, { file: 'config.yaml' });

describe('parseConfigText', () => {
  test.each([
    ['{"mode": "ipvs"}', { mode: 'ipvs' }],
    ['{mode: ipvs, }', { mode: 'ipvs' }],
    ['mode: ipvs\n', { mode: 'ipvs' }],
    ['\ufeffmode: ipvs\r\n', { mode: 'ipvs' }],
    ['---\n# first\n---\nmode: ipvs\n---\n', { mode: 'ipvs' }],
    ['# nothing\n', undefined],
    ['', undefined],
  ])('reads %j', async (text, object) => {
    expect(await parse(text)).toEqual(object);
  });

  test.each([
    ['mode: ipvs\nmode: iptables\n', /^config\.yaml cannot be read \(Map keys must be unique at line 2, column 1\)/],
    ['mode: [\n', /cannot be read \(.* at line 2, column 1\)/],
    ['{"mode": "ipvs"', /cannot be read \(.* at line 1, column 16\)/],
    ['a: &a [x]\nb: *c\n', /cannot be read \(.*c/],
    ['mode: ipvs\n---\nmode: iptables\n', /^config\.yaml has 2 documents: leave the one that is meant/],
  ])('refuses %j, and says where', async (text, message) => {
    await expect(parse(text)).rejects.toThrow(message);
    await expect(parse(text)).rejects.toMatchObject({ code: 'INVALID_CONFIG' });
  });

  test('says what else the file may be', async () => {
    await expect(parseConfigText('a: [', { file: 'x', remedy: 'or a Corefile' })).rejects.toThrow(/: or a Corefile/);
  });
});
