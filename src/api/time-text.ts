/** How precise a time is written: whole seconds, or the microseconds of `MicroTime`. */
export type TimePrecision = 'seconds' | 'microseconds';

/** As Go names the two forms when it refuses a time. */
export const timeLayouts: { readonly [P in TimePrecision]: string } = {
  seconds: '2006-01-02T15:04:05Z07:00',
  microseconds: '2006-01-02T15:04:05.000000Z07:00',
};

const form = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d+))?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/;

/**
 * The one way in which Kubernetes writes a time: RFC 3339, in UTC, with six digits after the seconds or none. Nothing
 * for what is no time. Clients in Go cannot read a list in which one object has a time in another form.
 */
export function canonicalTime(text: string, precision: TimePrecision): string | undefined {
  const [, local = '', fraction = '', sign, hours, minutes] = form.exec(text) ?? [];
  const written = Date.parse(`${local}Z`);
  // The 30th of February is read as a day of March.
  if (Number.isNaN(written) || new Date(written).toISOString().slice(0, 19) !== local) return undefined;
  const ahead = sign === undefined ? 0 : Number(`${sign}1`) * (Number(hours) * 60 + Number(minutes)) * 60_000;
  const utc = new Date(written - ahead).toISOString();
  // Beyond the years of four digits.
  if (utc.length !== '2006-01-02T15:04:05.000Z'.length) return undefined;
  return `${utc.slice(0, 19)}${precision === 'seconds' ? '' : `.${fraction.slice(0, 6).padEnd(6, '0')}`}Z`;
}
