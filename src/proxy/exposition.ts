/**
 * Metrics and their text as Prometheus reads it (exposition format 0.0.4). As small as this because every node has a
 * proxy, whose start and memory count.
 */
export interface Metric {
  readonly name: string;
  /** The metric with its help and type, each line ended. */
  text(): string;
}

/** A value of one label, or of none. */
type LabelValue = string;

/** A number that goes up and down, or only up, by the values of at most one label. */
class Numbers implements Metric {
  readonly name: string;
  readonly #head: string;
  readonly #label: string | undefined;
  protected readonly values = new Map<LabelValue, number>();

  constructor(type: 'counter' | 'gauge', { name, help, label }: MetricOptions) {
    this.name = name;
    this.#head = head(name, help, type);
    this.#label = label;
    if (label === undefined) this.values.set('', 0);
  }

  text(): string {
    const labels = (value: LabelValue) => (this.#label === undefined ? '' : `{${this.#label}="${value}"}`);
    return this.#head + [...this.values].map(([label, n]) => `${this.name}${labels(label)} ${n}\n`).join('');
  }
}

/** `label` is the name of the one label it has, if any; its values must need no escaping. */
export interface MetricOptions {
  readonly name: string;
  readonly help: string;
  readonly label?: string;
}

/** A number that only goes up. */
export class Counter extends Numbers {
  constructor(options: MetricOptions) {
    super('counter', options);
  }

  add(n = 1, label: LabelValue = ''): void {
    this.values.set(label, (this.values.get(label) ?? 0) + n);
  }
}

/** A number as it is now. */
export class Gauge extends Numbers {
  constructor(options: MetricOptions) {
    super('gauge', options);
  }

  set(n: number, label: LabelValue = ''): void {
    this.values.set(label, n);
  }
}

/** How observations spread over ranges; `buckets` are their upper bounds, ascending. */
export class Histogram implements Metric {
  readonly name: string;
  readonly #head: string;
  readonly #buckets: readonly number[];
  readonly #counts: number[];
  #count = 0;
  #sum = 0;

  constructor({ name, help, buckets }: { name: string; help: string; buckets: readonly number[] }) {
    this.name = name;
    this.#head = head(name, help, 'histogram');
    this.#buckets = buckets;
    this.#counts = buckets.map(() => 0);
  }

  observe(value: number): void {
    this.#count++;
    this.#sum += value;
    const bucket = this.#buckets.findIndex((bound) => value <= bound);
    if (bucket >= 0) this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
  }

  text(): string {
    let below = 0;
    const lines = this.#buckets.map((bound, i) => {
      below += this.#counts[i] ?? 0;
      return `${this.name}_bucket{le="${bound}"} ${below}\n`;
    });
    const rest = `${this.name}_bucket{le="+Inf"} ${this.#count}\n${this.name}_sum ${this.#sum}\n${this.name}_count ${this.#count}\n`;
    return this.#head + lines.join('') + rest;
  }
}

function head(name: string, help: string, type: string): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n`;
}
