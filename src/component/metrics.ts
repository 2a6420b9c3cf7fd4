/**
 * Metrics in Prometheus' text format, version 0.0.4. Written here because DNS counts for every query, and because the
 * usual library takes a tenth of a second and ten megabytes from every process that loads it before it has counted one.
 */

/** The media type of `MetricRegistry.text`. */
export const metricsContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** What a metric is called and means. The name ends in its unit, or in `_total` when it counts. */
export interface MetricName {
  readonly name: string;
  readonly help: string;
  /** Of a gauge: that each process of a component has a part of it. Of all else they do. */
  readonly isShared?: boolean;
}

/** As `MetricName`, of a metric that is told apart by the values of labels. */
export interface LabelledName extends MetricName {
  readonly labels: readonly string[];
}

/** As `MetricName`, of a metric that is told apart by the values of one label. */
export interface ReadName extends MetricName {
  readonly label: string;
  /** Labels of all samples. */
  readonly constant?: { readonly [label: string]: string };
}

/** What stands behind a metric's name, such as `{zone="."}` or `_sum`, and its number. */
type Value = readonly [key: string, value: number];

/** What one process has counted, by metric: to be added to what another one has. */
export type MetricValues = ReadonlyMap<string, ReadonlyMap<string, number>>;

/** What all of them have counted. */
export function sumOfMetrics(parts: readonly MetricValues[]): MetricValues {
  const sums = new Map<string, Map<string, number>>();
  for (const part of parts) {
    for (const [name, values] of part) {
      const sum = sums.get(name) ?? new Map<string, number>();
      sums.set(name, sum);
      for (const [key, value] of values) sum.set(key, (sum.get(key) ?? 0) + value);
    }
  }
  return sums;
}

/** A number, or some, that can be written. */
interface Sample {
  values(labels: string): Iterable<Value>;
}

/** A number that only grows. */
export class Counter implements Sample {
  #value = 0;

  add(n = 1): void {
    this.#value += n;
  }

  *values(labels: string): Iterable<Value> {
    yield [braced(labels), this.#value];
  }
}

/** A number as it is now. */
export class Gauge implements Sample {
  #value = 0;

  set(n: number): void {
    this.#value = n;
  }

  /** Less than zero takes away. */
  add(n: number): void {
    this.#value += n;
  }

  *values(labels: string): Iterable<Value> {
    yield [braced(labels), this.#value];
  }
}

/** How many observations fell at or below each of some bounds. */
export class Histogram implements Sample {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  /** `bounds` in ascending order, in the unit of the name. */
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

  *values(labels: string): Iterable<Value> {
    const more = labels === '' ? '' : `${labels},`;
    let below = 0;
    for (const [i, bound] of this.#bounds.entries()) {
      below += this.#counts[i] ?? 0;
      yield [`_bucket{${more}le="${bound}"}`, below];
    }
    yield [`_bucket{${more}le="+Inf"}`, this.#count];
    yield [`_sum${braced(labels)}`, this.#sum];
    yield [`_count${braced(labels)}`, this.#count];
  }
}

/** More sets of label values than this one metric does not keep: some of them are what clients say. */
const maxLabelSets = 2_000;

/** Samples of one metric, told apart by label values. */
export class Family<S extends Sample> {
  readonly #labels: readonly string[];
  readonly #create: () => S;
  readonly #samples = new Map<string, S>();

  constructor(labels: readonly string[], create: () => S) {
    this.#labels = labels;
    this.#create = create;
  }

  /**
   * The sample of these values, in the order of the labels' names. It can be kept, to spare the look-up. When there are
   * 2,000 already, new sets of values share one sample whose values are all `other`.
   */
  of(...values: readonly string[]): S {
    const key = this.#key(values);
    return (
      this.#samples.get(key) ??
      this.#add(this.#samples.size < maxLabelSets ? key : this.#key(this.#labels.map(() => 'other')))
    );
  }

  /** All there are. */
  samples(): Iterable<S> {
    return this.#samples.values();
  }

  *values(): Iterable<Value> {
    for (const [labels, sample] of this.#samples) yield* sample.values(labels);
  }

  #add(key: string): S {
    const sample = this.#samples.get(key) ?? this.#create();
    this.#samples.set(key, sample);
    return sample;
  }

  #key(values: readonly string[]): string {
    let key = '';
    for (let i = 0; i < this.#labels.length; i++)
      key += `${i === 0 ? '' : ','}${this.#labels[i]}="${escapeLabel(values[i] ?? '')}"`;
    return key;
  }
}

/** A metric as it is written. */
interface Metric {
  readonly name: string;
  readonly head: string;
  /** Whether the processes of a component add it up. */
  readonly isShared: boolean;
  readonly read: () => Iterable<Value>;
}

/** All metrics of a component, in the order they were made. */
export class MetricRegistry {
  readonly #metrics: Metric[] = [];

  /** A counter without labels; it is there from the beginning, with 0. */
  counter(name: MetricName): Counter {
    return this.#single(name, 'counter', new Counter());
  }

  counters(name: LabelledName): Family<Counter> {
    return this.#family(name, 'counter', () => new Counter());
  }

  gauge(name: MetricName): Gauge {
    return this.#single(name, 'gauge', new Gauge());
  }

  gauges(name: LabelledName): Family<Gauge> {
    return this.#family(name, 'gauge', () => new Gauge());
  }

  /** A gauge that is asked for when it is written. */
  readGauge(name: MetricName, read: () => number): void {
    this.#add(name, 'gauge', () => [['', read()]]);
  }

  /** As `readGauge`, of a number that only grows. */
  readCounter(name: MetricName, read: () => number): void {
    this.#add(name, 'counter', () => [['', read()]]);
  }

  /** Gauges by the values of one label, asked for when they are written. */
  readGauges({ label, constant = {}, ...name }: ReadName, read: () => ReadonlyMap<string, number>): void {
    const before = Object.entries(constant).map(([known, value]) => `${known}="${escapeLabel(value)}",`);
    this.#add(name, 'gauge', () =>
      [...read()].map(([value, n]) => [`{${before.join('')}${label}="${escapeLabel(value)}"}`, n]),
    );
  }

  /** `bounds` in ascending order, in the unit of the name. */
  histogram(name: MetricName, bounds: readonly number[]): Histogram {
    return this.#single(name, 'histogram', new Histogram(bounds));
  }

  histograms(name: LabelledName, bounds: readonly number[]): Family<Histogram> {
    return this.#family(name, 'histogram', () => new Histogram(bounds));
  }

  /** What this process has of numbers that are added up over all processes of a component. */
  values(): MetricValues {
    return new Map(this.#metrics.filter(({ isShared }) => isShared).map(({ name, read }) => [name, new Map(read())]));
  }

  /** The page a Prometheus server reads, with what other processes have counted. */
  text(others: MetricValues = new Map()): string {
    return this.#metrics
      .map(({ name, head, read }) => {
        const own = new Map(read());
        const values = sumOfMetrics([new Map([[name, own]]), new Map([[name, others.get(name) ?? new Map()]])]);
        const lines = [...(values.get(name) ?? [])].map(([key, value]) => `${name}${key} ${number(value)}`);
        return `${[head, ...lines].join('\n')}\n`;
      })
      .join('');
  }

  #single<S extends Sample>(name: MetricName, type: string, sample: S): S {
    this.#add(name, type, () => sample.values(''));
    return sample;
  }

  #family<S extends Sample>(name: LabelledName, type: string, create: () => S): Family<S> {
    const family = new Family(name.labels, create);
    this.#add(name, type, () => family.values());
    return family;
  }

  #add({ name, help, isShared = false }: MetricName, type: string, read: () => Iterable<Value>): void {
    const escaped = help.replace(/[\\\n]/g, escapeCharacter);
    const head = `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}`;
    this.#metrics.push({ name, head, isShared: isShared || type !== 'gauge', read });
  }
}

function braced(labels: string): string {
  return labels === '' ? '' : `{${labels}}`;
}

/** Infinity is the one number that JavaScript and the format write differently. */
function number(value: number): string {
  return Math.abs(value) === Number.POSITIVE_INFINITY ? (value > 0 ? '+Inf' : '-Inf') : String(value);
}

function escapeLabel(value: string): string {
  return value.replace(/[\\"\n]/g, escapeCharacter);
}

function escapeCharacter(character: string): string {
  return character === '\n' ? '\\n' : `\\${character}`;
}
