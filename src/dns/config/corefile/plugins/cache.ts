import { cacheDefaults } from '../../defaults.ts';
import type { CacheBounds, CacheSettings, ServeStaleSettings } from '../../types.ts';
import {
  argumentOf,
  argumentsOf,
  choiceOf,
  durationOf,
  integerOf,
  type OptionReaders,
  readOptions,
  zonesOr,
} from '../arguments.ts';
import { corefileError } from '../error.ts';
import type { Directive } from '../parse.ts';
import type { Draft, Plugin } from './plugin.ts';

const maxTtl = 0x7fff_ffff;
const maxCapacity = 10_000_000;

/** `cache [TTL] [ZONE…] { … }`: answers of other servers kept. */
export const cache: Plugin = {
  read(directive, { block, zones }) {
    const [first] = directive.args;
    const ttl = first !== undefined && /^-?\d+$/.test(first.text) ? integerOf(first, 1, maxTtl) : undefined;
    const settings: Draft<CacheSettings> = {
      ...cacheDefaults,
      zones: zonesOr(ttl === undefined ? directive.args : directive.args.slice(1), zones),
      success: { ...cacheDefaults.success, maxTtl: ttl ?? cacheDefaults.success.maxTtl },
      denial: { ...cacheDefaults.denial, maxTtl: ttl ?? cacheDefaults.denial.maxTtl },
    };
    readOptions(directive, { ...boundOptions(settings), ...freshnessOptions(settings) });
    block.cache = settings;
  },
};

/** What is kept, and how much of it. */
function boundOptions(settings: Draft<CacheSettings>): OptionReaders {
  return {
    success: (option) => {
      settings.success = boundsOf(option, settings.success);
    },
    denial: (option) => {
      settings.denial = boundsOf(option, settings.denial);
    },
    servfail: (option) => {
      // RFC 2308 §7.1 keeps failures no longer.
      settings.servfailMs = durationOf(argumentOf(option), 0, 300_000);
    },
    disable: (option) => {
      const [kind = option.name, ...named] = argumentsOf(option, 1);
      const disabled = zonesOr(named, settings.zones);
      if (choiceOf(kind, ['success', 'denial']) === 'success')
        settings.disableSuccess = [...settings.disableSuccess, ...disabled];
      else settings.disableDenial = [...settings.disableDenial, ...disabled];
    },
  };
}

/** How old it may be. */
function freshnessOptions(settings: Draft<CacheSettings>): OptionReaders {
  return {
    prefetch: (option) => {
      const [amount = option.name, duration, percentage] = argumentsOf(option, 1, 3);
      settings.prefetch = {
        amount: integerOf(amount, 0, 1e9),
        durationMs: duration === undefined ? 60_000 : durationOf(duration, 1),
        percentage: percentage === undefined ? 10 : percentageOf(option, percentage.text),
      };
      if (settings.prefetch.amount === 0) settings.prefetch = undefined;
    },
    serve_stale: (option) => {
      settings.serveStale = serveStaleOf(option);
    },
    keepttl: (option) => {
      argumentsOf(option, 0, 0);
      settings.keepTtl = true;
    },
  };
}

/** `success CAPACITY [TTL] [MINTTL]`. */
function boundsOf(option: Directive, previous: CacheBounds): CacheBounds {
  const [capacity = option.name, most, least] = argumentsOf(option, 1, 3);
  const bounds = {
    capacity: integerOf(capacity, 0, maxCapacity),
    maxTtl: most === undefined ? previous.maxTtl : integerOf(most, 1, maxTtl),
    minTtl: least === undefined ? previous.minTtl : integerOf(least, 0, maxTtl),
  };
  if (least !== undefined && bounds.minTtl > bounds.maxTtl)
    throw corefileError(least, `${bounds.minTtl} at least is more than ${bounds.maxTtl} at most`, 'swap them');
  return { ...bounds, minTtl: Math.min(bounds.minTtl, bounds.maxTtl) };
}

/** `serve_stale [DURATION] [immediate | verify [TIMEOUT]]`. */
function serveStaleOf(option: Directive): ServeStaleSettings {
  const [duration, mode, timeout] = argumentsOf(option, 0, 3);
  const refresh =
    mode === undefined ? 'immediate' : choiceOf({ ...mode, text: mode.text.toLowerCase() }, ['immediate', 'verify']);
  if (timeout !== undefined && refresh !== 'verify')
    throw corefileError(timeout, `${timeout.text} has no meaning after immediate`, 'remove it');
  return {
    durationMs: duration === undefined ? 3_600_000 : durationOf(duration),
    refresh,
    verifyTimeoutMs: timeout === undefined ? 0 : durationOf(timeout),
  };
}

function percentageOf({ name }: Directive, text: string): number {
  const percentage = /^\d{1,3}%$/.test(text) ? Number(text.slice(0, -1)) : Number.NaN;
  if (percentage >= 10 && percentage <= 90) return percentage;
  throw corefileError(name, `prefetch percentage ${text} is not from 10% to 90%`, 'choose one');
}
