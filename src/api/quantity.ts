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
