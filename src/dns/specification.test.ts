import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ask, lines, rcodeOf } from './testing/ask.ts';
import { exampleZone } from './testing/cluster.ts';
import { name } from './testing/objects.ts';
import { responderOf } from './testing/responder.ts';
import type { ZoneOptions } from './zone.ts';

/** The settings a section of the table has: those of `ZoneOptions`, names as text. */
type Settings = Partial<Omit<ZoneOptions, 'zones' | 'fallthrough'>> & {
  readonly zones?: readonly string[];
  readonly fallthrough?: readonly string[];
};

interface Section {
  readonly settings: Settings;
  readonly cases: readonly (readonly [question: string, answer: string])[];
}

function readTable(): Section[] {
  const text = readFileSync(new URL('testing/questions.txt', import.meta.url), 'utf8');
  const full = text.replaceAll('~', 'svc.cluster.local').replaceAll('%', 'cluster.local');
  return full
    .replace(/^#.*\n/gm, '')
    .split(/^\[/m)
    .slice(1)
    .map((section) => {
      const [settings = '', ...rest] = section.split('\n');
      const cases = rest
        .filter((line) => line !== '')
        .map((line) => line.split(' = ') as [question: string, answer: string]);
      return { settings: JSON.parse(settings.slice(0, -1)) as Settings, cases };
    });
}

function zoneOptions({ zones, fallthrough, ...rest }: Settings): Partial<ZoneOptions> {
  return {
    ...rest,
    ...(zones === undefined ? {} : { zones: zones.map(name) }),
    ...(fallthrough === undefined ? {} : { fallthrough: fallthrough.map(name) }),
  };
}

/** `DATA`, `TYPE DATA` and `OWNER TYPE DATA` as the latter. */
function record(text: string, question: string): string {
  if (/^\S+ [A-Z]+ /.test(text)) return text;
  return /^[A-Z]+ /.test(text) ? `${question.split(' ')[0]} ${text}` : `${question} ${text}`;
}

const table = readTable();
const soas = [...new Set(table.flatMap(({ settings }) => settings.zones ?? []))]
  .concat('cluster.local', 'in-addr.arpa', 'ip6.arpa')
  .map((apex) => `${apex} SOA ns.dns.${apex} hostmaster.${apex}`);

describe.each(table)('Responder with $settings', ({ settings, cases }) => {
  const responder = responderOf({ zone: exampleZone(zoneOptions(settings)) });

  test.each(cases)('answers %s with %s', async (question, answer) => {
    const [asked = '', type = ''] = question.split(' ');
    const reply = await ask(responder, { name: asked, type: type.replace(/^TYPE/, 'UNKNOWN_'), transport: 'tcp' });
    const [records = '', ...additional] = answer.split(' + ');
    const isDenial = /^[A-Z]+$/.test(answer);
    expect(rcodeOf(reply)).toBe(isDenial && answer !== 'NODATA' ? answer : 'NOERROR');
    expect(lines(reply.answers)).toEqual(
      isDenial
        ? []
        : records
            .split(' | ')
            .map((text) => record(text, question))
            .sort(),
    );
    expect(lines(reply.additionals)).toEqual(additional.sort());
    expect(reply.flag_aa).toBe(answer !== 'REFUSED');
    if (!isDenial || answer === 'REFUSED') expect(reply.authorities).toEqual([]);
    else expect(soas).toContain(lines(reply.authorities).join());
  });
});

test('Responder is asked a long list of questions', () => {
  expect(table.flatMap(({ cases }) => cases).length).toBeGreaterThan(250);
});
