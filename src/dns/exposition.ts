/**
 * Metrics in Prometheus' text format, version 0.0.4. Written here because counting happens for every query, and because
 * the usual library takes a tenth of a second and ten megabytes from every Pod that loads it before it has counted one.
 */

/** One number that only grows, or that is set. */
export interface Cell {
  value: number;
}

/** A metric that can write itself. */
interface Metric {
  lines(): Iterable<string>;
}

/** Numbers told apart by label values. A cell, once got, can be kept and counted in without a look-up. */
export class CellFamily implements Metric {
  readonly #name: string;
  readonly #labels: readonly string[];
  readonly #cells = new Map<string, Cell>();

  constructor(name: string, labels: readonly string[]) {
    this.#name = name;
    this.#labels = labels;
  }

  /** The cell of these values, in the order of the labels' names. */
  cell(...values: readonly string[]): Cell {
    const key = labelText(this.#labels, values);
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = { value: 0 };
      this.#cells.set(key, cell);
    }
    return cell;
  }

  *lines(): Iterable<string> {
    for (const [labels, cell] of this.#cells) yield `${this.#name}${braced(labels)} ${cell.value}`;
  }
}

/** How many observations fell at or below each of some bounds. */
export class HistogramCell {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  observe(value: number): void {
    this.#sum += value;
    this.#count++;
    for (let i = 0; i < this.#bounds.length; i++) {
      if (value <= (this.#bounds[i] ?? 0)) {
        this.#counts[i] = (this.#counts[i] ?? 0) + 1;
        return;
      }
    }
  }

  *lines(name: string, labels: string): Iterable<string> {
    let below = 0;
    for (const [i, bound] of this.#bounds.entries()) {
      below += this.#counts[i] ?? 0;
      yield `${name}_bucket${braced(joined(labels, `le="${bound}"`))} ${below}`;
    }
    yield `${name}_bucket${braced(joined(labels, 'le="+Inf"'))} ${this.#count}`;
    yield `${name}_sum${braced(labels)} ${this.#sum}`;
    yield `${name}_count${braced(labels)} ${this.#count}`;
  }
}

/** Histograms told apart by label values. */
export class HistogramFamily implements Metric {
  readonly #name: string;
  readonly #labels: readonly string[];
  readonly #bounds: readonly number[];
  readonly #cells = new Map<string, HistogramCell>();

  constructor(name: string, labels: readonly string[], bounds: readonly number[]) {
    this.#name = name;
    this.#labels = labels;
    this.#bounds = bounds;
  }

  /** The histogram of these values, in the order of the labels' names. */
  cell(...values: readonly string[]): HistogramCell {
    const key = labelText(this.#labels, values);
    let cell = this.#cells.get(key);
    if (cell === undefined) {
      cell = new HistogramCell(this.#bounds);
      this.#cells.set(key, cell);
    }
    return cell;
  }

  *lines(): Iterable<string> {
    for (const [labels, cell] of this.#cells) yield* cell.lines(this.#name, labels);
  }
}

/** A number asked for when it is written. */
class Gauge implements Metric {
  readonly #name: string;
  readonly #read: () => number;

  constructor(name: string, read: () => number) {
    this.#name = name;
    this.#read = read;
  }

  *lines(): Iterable<string> {
    yield `${this.#name} ${this.#read()}`;
  }
}

/** What a metric is called and means. */
export interface MetricName {
  readonly name: string;
  readonly help: string;
  readonly labels?: readonly string[];
}

/** All metrics of a component. */
export class MetricRegistry {
  readonly #metrics: { readonly head: string; readonly metric: Metric }[] = [];

  counter({ name, help, labels = [] }: MetricName): CellFamily {
    return this.#add({ name, help }, 'counter', new CellFamily(name, labels));
  }

  /** `bounds` in ascending order, in the unit of the name. */
  histogram({ name, help, labels = [] }: MetricName, bounds: readonly number[]): HistogramFamily {
    return this.#add({ name, help }, 'histogram', new HistogramFamily(name, labels, bounds));
  }

  gauge({ name, help }: MetricName, read: () => number): void {
    this.#add({ name, help }, 'gauge', new Gauge(name, read));
  }

  /** The page a Prometheus server reads. */
  text(): string {
    const lines = this.#metrics.flatMap(({ head, metric }) => [head, ...metric.lines()]);
    return `${lines.join('\n')}\n`;
  }

  #add<M extends Metric>({ name, help }: MetricName, type: string, metric: M): M {
    this.#metrics.push({ head: `# HELP ${name} ${help}\n# TYPE ${name} ${type}`, metric });
    return metric;
  }
}

function labelText(names: readonly string[], values: readonly string[]): string {
  return names.map((name, i) => `${name}="${escapeLabel(values[i] ?? '')}"`).join(',');
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, (c) => (c === '\n' ? '\\n' : `\\${c}`));
}

function joined(labels: string, more: string): string {
  return labels === '' ? more : `${labels},${more}`;
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}
