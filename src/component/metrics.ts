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
}

/** As `MetricName`, of a metric that is told apart by the values of labels. */
export interface LabelledName extends MetricName {
  readonly labels: readonly string[];
}

/** A number, or some, that can be written. */
interface Sample {
  lines(name: string, labels: string): Iterable<string>;
}

/** A number that only grows. */
export class Counter implements Sample {
  #value = 0;

  add(n = 1): void {
    this.#value += n;
  }

  *lines(name: string, labels: string): Iterable<string> {
    yield line(name, labels, this.#value);
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

  *lines(name: string, labels: string): Iterable<string> {
    yield line(name, labels, this.#value);
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

  *lines(name: string, labels: string): Iterable<string> {
    const more = labels === '' ? '' : `${labels},`;
    let below = 0;
    for (const [i, bound] of this.#bounds.entries()) {
      below += this.#counts[i] ?? 0;
      yield line(`${name}_bucket`, `${more}le="${bound}"`, below);
    }
    yield line(`${name}_bucket`, `${more}le="+Inf"`, this.#count);
    yield line(`${name}_sum`, labels, this.#sum);
    yield line(`${name}_count`, labels, this.#count);
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

  *lines(name: string): Iterable<string> {
    for (const [labels, sample] of this.#samples) yield* sample.lines(name, labels);
  }

  #add(key: string): S {
    const sample = this.#samples.get(key) ?? this.#create();
    this.#samples.set(key, sample);
    return sample;
  }

  #key(values: readonly string[]): string {
    return this.#labels.map((label, i) => `${label}="${escapeLabel(values[i] ?? '')}"`).join(',');
  }
}

/** All metrics of a component, in the order they were made. */
export class MetricRegistry {
  readonly #metrics: { readonly head: string; readonly lines: () => Iterable<string> }[] = [];

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
    this.#add(name, 'gauge', () => [line(name.name, '', read())]);
  }

  /** As `readGauge`, of a number that only grows. */
  readCounter(name: MetricName, read: () => number): void {
    this.#add(name, 'counter', () => [line(name.name, '', read())]);
  }

  /** Gauges by the values of one label, asked for when they are written. */
  readGauges(
    { label, ...name }: MetricName & { readonly label: string },
    read: () => ReadonlyMap<string, number>,
  ): void {
    this.#add(name, 'gauge', () =>
      [...read()].map(([value, n]) => line(name.name, `${label}="${escapeLabel(value)}"`, n)),
    );
  }

  /** `bounds` in ascending order, in the unit of the name. */
  histogram(name: MetricName, bounds: readonly number[]): Histogram {
    return this.#single(name, 'histogram', new Histogram(bounds));
  }

  histograms(name: LabelledName, bounds: readonly number[]): Family<Histogram> {
    return this.#family(name, 'histogram', () => new Histogram(bounds));
  }

  /** The page a Prometheus server reads. */
  text(): string {
    return this.#metrics.map(({ head, lines }) => `${[head, ...lines()].join('\n')}\n`).join('');
  }

  #single<S extends Sample>(name: MetricName, type: string, sample: S): S {
    this.#add(name, type, () => sample.lines(name.name, ''));
    return sample;
  }

  #family<S extends Sample>(name: LabelledName, type: string, create: () => S): Family<S> {
    const family = new Family(name.labels, create);
    this.#add(name, type, () => family.lines(name.name));
    return family;
  }

  #add({ name, help }: MetricName, type: string, lines: () => Iterable<string>): void {
    const escaped = help.replace(/[\\\n]/g, escapeCharacter);
    this.#metrics.push({ head: `# HELP ${name} ${escaped}\n# TYPE ${name} ${type}`, lines });
  }
}

function line(name: string, labels: string, value: number): string {
  return `${name}${labels === '' ? '' : `{${labels}}`} ${number(value)}`;
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
