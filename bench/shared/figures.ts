/** Runs something and gives the time it took, in milliseconds, with its result. */
export function timed<T>(run: () => T): [milliseconds: number, result: T] {
  const start = performance.now();
  const result = run();
  return [performance.now() - start, result];
}

/** The sample below which a share of them lies. */
export function quantile(samples: readonly number[], share: number): number {
  const sorted = [...samples].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** Rows of equal columns as a Markdown table: three digits of each number, `-` where there is none. */
export function formatTable(rows: readonly Readonly<Record<string, number | undefined>>[]): string {
  const columns = Object.keys(rows[0] ?? {});
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |\n`;
  const body = rows.map((row) => line(columns.map((column) => formatNumber(row[column]))));
  return [line(columns), line(columns.map(() => '--:')), ...body].join('');
}

function formatNumber(value: number | undefined): string {
  if (value === undefined) return '-';
  return Math.abs(value) >= 100 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(3)));
}
