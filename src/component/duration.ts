const unitMs: { readonly [unit: string]: number } = {
  h: 3_600_000,
  m: 60_000,
  s: 1000,
  ms: 1,
  us: 1e-3,
  µs: 1e-3,
  ns: 1e-6,
};

/**
 * Reads a duration as Kubernetes writes them (`30s`, `1m30s`, `500ms`, `1.5h`, `0`) into milliseconds; `undefined` if
 * it is none, or negative.
 */
export function parseDuration(text: string): number | undefined {
  if (text === '0') return 0;
  const part = /(\d+(?:\.\d*)?|\.\d+)(h|ms|m|s|us|µs|ns)/y;
  let total = 0;
  let end = 0;
  for (let match = part.exec(text); match !== null; match = part.exec(text)) {
    const [, number = '', unit = ''] = match;
    total += Number(number) * (unitMs[unit] ?? 0);
    end = part.lastIndex;
  }
  return end > 0 && end === text.length ? total : undefined;
}

/** A span as kubectl shows ages: two units at most, of those that matter (`45s`, `5m30s`, `3h`, `2d4h`, `3y`). */
export function humanDuration(milliseconds: number): string {
  const seconds = Math.floor(milliseconds / 1000);
  if (seconds < -1) return '<invalid>';
  if (seconds < 0) return '0s';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return pair([minutes, 'm'], [seconds % 60, 's']);
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return pair([hours, 'h'], [minutes % 60, 'm']);
  if (hours < 48) return `${hours}h`;
  const days = Math.floor(hours / 24);
  if (hours < 192) return pair([days, 'd'], [hours % 24, 'h']);
  if (days < 365 * 2) return `${days}d`;
  const years = Math.floor(days / 365);
  return years < 8 ? pair([years, 'y'], [days % 365, 'd']) : `${years}y`;
}

function pair([large, largeUnit]: Amount, [small, smallUnit]: Amount): string {
  return small === 0 ? `${large}${largeUnit}` : `${large}${largeUnit}${small}${smallUnit}`;
}

/** A number and its unit. */
type Amount = readonly [number, string];

/** The time since an RFC 3339 time, as `humanDuration`; `<unknown>` when there is none. */
export function age(time: string | undefined): string {
  const at = Date.parse(time ?? '');
  return Number.isNaN(at) ? '<unknown>' : humanDuration(Date.now() - at);
}
