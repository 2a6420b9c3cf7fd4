import { logFormats, unknownReplacer } from '../../../log/format.ts';
import { rootName } from '../../../wire/name.ts';
import type { ErrorsSettings, ResponseClass } from '../../types.ts';
import { argumentsOf, choiceOf, durationOf, readOptions, zonesOr } from '../arguments.ts';
import { corefileError } from '../error.ts';
import type { Directive } from '../parse.ts';
import type { Plugin } from './plugin.ts';

/** `log [ZONE…] [FORMAT] { class … }`: a line for each query. */
export const log: Plugin = {
  repeats: true,
  read(directive, { block }) {
    const last = directive.args.at(-1);
    const written = directive.args.length > 1 && last?.text.includes('{') === true ? last : undefined;
    const names = written === undefined ? directive.args : directive.args.slice(0, -1);
    const format = written?.text
      .replaceAll('{common}', logFormats.common)
      .replaceAll('{combined}', logFormats.combined);
    const unknown = format === undefined ? undefined : unknownReplacer(format);
    if (unknown !== undefined)
      throw corefileError(written ?? directive.name, `log cannot write ${unknown}`, 'remove it from the format');
    const classes = new Set<ResponseClass>();
    let isAll = false;
    readOptions(directive, {
      class: (option) => {
        for (const token of argumentsOf(option, 1)) {
          const choice = choiceOf(token, ['all', 'success', 'denial', 'error']);
          if (choice === 'all') isAll = true;
          else classes.add(choice);
        }
      },
    });
    block.log = [
      ...block.log,
      { zones: zonesOr(names, [rootName]), format: format ?? logFormats.common, classes: isAll ? [] : [...classes] },
    ];
  },
};

/** `errors { consolidate … }`: a line for each failure. */
export const errors: Plugin = {
  read(directive, { block }) {
    for (const token of argumentsOf(directive, 0, 1)) choiceOf(token, ['stdout']);
    const consolidate: ErrorsSettings['consolidate'][number][] = [];
    readOptions(directive, {
      consolidate: (option) => consolidate.push(consolidationOf(option)),
      // What should not happen is told with its stack always.
      stacktrace: (option) => {
        argumentsOf(option, 0, 0);
      },
    });
    block.errors = { consolidate };
  },
};

/** `consolidate DURATION PATTERN [LEVEL] [show_first]`. */
function consolidationOf(option: Directive): ErrorsSettings['consolidate'][number] {
  const [interval = option.name, pattern = option.name, ...words] = argumentsOf(option, 2, 4);
  const showFirst = words.at(-1)?.text === 'show_first';
  const [level, extra] = showFirst ? words.slice(0, -1) : words;
  if (extra !== undefined) choiceOf(extra, ['show_first']);
  try {
    return {
      intervalMs: durationOf(interval, 1),
      pattern: new RegExp(pattern.text),
      level: level === undefined ? 'error' : levels[choiceOf(level, ['warning', 'error', 'info', 'debug'])],
      showFirst,
    };
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw corefileError(pattern, `${pattern.text} is not a regular expression`, 'correct it', cause);
  }
}

const levels = { warning: 'warn', error: 'error', info: 'info', debug: 'debug' } as const;
