const form = /^([+-]?)(\d+\.?\d*|\.\d+)((?:[KMGTPE]i)|[numkMGTPE]|[eE][+-]?\d+)?$/;
const scales: { readonly [suffix: string]: number } = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The value of a Kubernetes quantity (`100m`, `1.5Gi`, `2e3`), to the precision of a double; nothing if it is none. */
export function parseQuantity(text: string): number | undefined {
  const [, sign, digits, suffix = ''] = form.exec(text) ?? [];
  if (digits === undefined) return undefined;
  const scale =
    /^[eE]./.test(suffix) && scales[suffix] === undefined ? 10 ** Number(suffix.slice(1)) : (scales[suffix] ?? 1);
  return (sign === '-' ? -1 : 1) * Number(digits) * scale;
}

/** What Kubernetes says of a text that is no quantity. */
export const quantityMessage =
  "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'";

const nano = 1_000_000_000n;
const decimalSuffixes = ['n', 'u', 'm', '', 'k', 'M', 'G', 'T', 'P', 'E'];
const binarySuffixes = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei'];
/** Beyond every suffix; greater exponents are left as they are rather than counted out. */
const maxExponent = 21;

/**
 * The quantity as Kubernetes prints it: no fraction, the largest suffix of its sort that leaves none, at most nine
 * decimal places (rounded up). A text that is no quantity stays as it is.
 */
export function canonicalQuantity(text: string): string {
  const [, sign = '', digits, suffix = ''] = form.exec(text) ?? [];
  if (digits === undefined) return text;
  const isExponent = /^[eE][+-]?\d+$/.test(suffix);
  const exponent = isExponent ? Number(suffix.slice(1)) : 0;
  if (Math.abs(exponent) > maxExponent || digits.length > 2 * maxExponent) return text;
  const isBinary = suffix.endsWith('i');
  const nanos = nanosOf(digits, { suffix: isExponent ? '' : suffix, exponent });
  const mark = sign === '-' && nanos !== 0n ? '-' : '';
  if (isBinary && nanos >= 1024n * nano) return mark + formatBinary(divideUp(nanos, nano));
  return mark + formatDecimal(nanos, isExponent);
}

function nanosOf(digits: string, { suffix, exponent }: { readonly suffix: string; readonly exponent: number }): bigint {
  const [whole = '', fraction = ''] = digits.split('.');
  const number = BigInt(`${whole}${fraction}` || '0');
  const binary = suffix.endsWith('i') ? binarySuffixes.indexOf(suffix) : 0;
  const power = 9 + exponent + (binary === 0 ? 3 * (decimalSuffixes.indexOf(suffix) - 3) : 0) - fraction.length;
  const scaled = number * 1024n ** BigInt(binary);
  return power >= 0 ? scaled * 10n ** BigInt(power) : divideUp(scaled, 10n ** BigInt(-power));
}

function divideUp(value: bigint, by: bigint): bigint {
  return (value + by - 1n) / by;
}

function formatBinary(value: bigint): string {
  let rest = value;
  let i = 0;
  for (; i < binarySuffixes.length - 1 && rest % 1024n === 0n; i++) rest /= 1024n;
  return `${rest}${binarySuffixes[i]}`;
}

function formatDecimal(nanos: bigint, isExponent: boolean): string {
  if (nanos === 0n) return '0';
  let rest = nanos;
  let i = 0;
  for (; i < decimalSuffixes.length - 1 && rest % 1000n === 0n; i++) rest /= 1000n;
  const exponent = 3 * (i - 3);
  if (isExponent) return exponent === 0 ? `${rest}` : `${rest}e${exponent}`;
  return `${rest}${decimalSuffixes[i]}`;
}
