import { describe, expect, it } from 'vitest';
import { Counter, Gauge, Histogram } from './exposition.ts';

describe('Counter', () => {
  it('starts at zero without a label, and with none of its values with one', () => {
    expect(new Counter({ name: 'a_total', help: 'As.' }).text()).toBe(
      '# HELP a_total As.\n# TYPE a_total counter\na_total 0\n',
    );
    const labelled = new Counter({ name: 'a_total', help: 'As.', label: 'code' });
    expect(labelled.text()).toBe('# HELP a_total As.\n# TYPE a_total counter\n');
    labelled.add(1, '200');
    labelled.add(2, '200');
    labelled.add(1, '503');
    expect(labelled.text()).toContain('\na_total{code="200"} 3\na_total{code="503"} 1\n');
  });
});

describe('Gauge', () => {
  it('is what it was set to', () => {
    const gauge = new Gauge({ name: 'g', help: 'G.' });
    gauge.set(2);
    gauge.set(1.5);
    expect(gauge.text()).toBe('# HELP g G.\n# TYPE g gauge\ng 1.5\n');
  });
});

describe('Histogram', () => {
  it('counts what is at or below each bound, and all of it', () => {
    const histogram = new Histogram({ name: 'h_seconds', help: 'Hs.', buckets: [0.1, 1] });
    for (const value of [0.1, 0.5, 5]) histogram.observe(value);
    expect(histogram.text()).toBe(
      [
        '# HELP h_seconds Hs.',
        '# TYPE h_seconds histogram',
        'h_seconds_bucket{le="0.1"} 1',
        'h_seconds_bucket{le="1"} 2',
        'h_seconds_bucket{le="+Inf"} 3',
        'h_seconds_sum 5.6',
        'h_seconds_count 3',
        '',
      ].join('\n'),
    );
  });
});
