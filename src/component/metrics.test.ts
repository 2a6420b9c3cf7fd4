import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { MetricRegistry } from './metrics.ts';

describe('MetricRegistry', () => {
  test('writes the text format', () => {
    const registry = new MetricRegistry();
    const counters = registry.counters({ name: 'asked_total', help: 'Asked.', labels: ['type', 'by'] });
    const histograms = registry.histograms({ name: 'took_seconds', help: 'Took.', labels: ['by'] }, [0.1, 1]);
    registry.readGauge({ name: 'names', help: 'Names.' }, () => 7);
    registry.readGauges({ name: 'objects', help: 'Objects.', label: 'kind' }, () => new Map([['pods', 3]]));
    const version = { name: 'version', help: 'Version.', label: 'value', constant: { hash: 'sha512' } };
    registry.readGauges(version, () => new Map([['abc', 1]]));
    const gauges = registry.gauges({ name: 'open', help: 'Open.', labels: ['by'] });
    counters.of('A', 'x').add();
    counters.of('A', 'x').add();
    counters.of('B', 'a"b\\c\nd').add();
    gauges.of('x').add(2);
    gauges.of('x').add(-1);
    for (const value of [0.05, 0.1, 0.5, 3]) histograms.of('x').observe(value);
    expect(registry.text().split('\n')).toEqual([
      '# HELP asked_total Asked.',
      '# TYPE asked_total counter',
      'asked_total{type="A",by="x"} 2',
      'asked_total{type="B",by="a\\"b\\\\c\\nd"} 1',
      '# HELP took_seconds Took.',
      '# TYPE took_seconds histogram',
      'took_seconds_bucket{by="x",le="0.1"} 2',
      'took_seconds_bucket{by="x",le="1"} 3',
      'took_seconds_bucket{by="x",le="+Inf"} 4',
      'took_seconds_sum{by="x"} 3.65',
      'took_seconds_count{by="x"} 4',
      '# HELP names Names.',
      '# TYPE names gauge',
      'names 7',
      '# HELP objects Objects.',
      '# TYPE objects gauge',
      'objects{kind="pods"} 3',
      '# HELP version Version.',
      '# TYPE version gauge',
      'version{hash="sha512",value="abc"} 1',
      '# HELP open Open.',
      '# TYPE open gauge',
      'open{by="x"} 1',
      '',
    ]);
  });

  test('writes metrics without labels without braces, and from the beginning', () => {
    const registry = new MetricRegistry();
    const counter = registry.counter({ name: 'c_total', help: 'C.' });
    const gauge = registry.gauge({ name: 'g', help: 'G.' });
    const histogram = registry.histogram({ name: 'h', help: 'H.' }, [1]);
    registry.counters({ name: 'f_total', help: 'F.', labels: ['code'] });
    expect(registry.text()).toContain('\nc_total 0\n');
    expect(registry.text()).toContain('\ng 0\n');
    expect(registry.text()).toContain('\nh_sum 0\nh_count 0\n');
    expect(registry.text()).toMatch(/# TYPE f_total counter\n$/);
    counter.add(3);
    gauge.set(2);
    gauge.set(1.5);
    histogram.observe(2);
    expect(registry.text()).toContain('\nc_total 3\n');
    expect(registry.text()).toContain('\ng 1.5\n');
    expect(registry.text()).toContain('h_bucket{le="1"} 0\nh_bucket{le="+Inf"} 1\nh_sum 2\nh_count 1\n');
  });

  test('escapes help, and writes infinity as the format has it', () => {
    const registry = new MetricRegistry();
    registry.readGauge({ name: 'up', help: 'a\\b\nc "d"' }, () => Number.POSITIVE_INFINITY);
    registry.readGauge({ name: 'down', help: '' }, () => Number.NEGATIVE_INFINITY);
    expect(registry.text()).toContain('# HELP up a\\\\b\\nc "d"\n# TYPE up gauge\nup +Inf\n');
    expect(registry.text()).toContain('\ndown -Inf\n');
  });

  test('writes one line for each sample, whatever label values there are', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string({ unit: 'binary' }), { maxLength: 5 }), (values) => {
        const registry = new MetricRegistry();
        const counters = registry.counters({ name: 'c_total', help: 'C.', labels: ['by'] });
        for (const value of values) counters.of(value).add();
        const lines = registry.text().split('\n').slice(2, -1);
        const read = lines.map((line) => /^c_total\{by="((?:[^"\\]|\\["\\n])*)"\} 1$/.exec(line)?.[1]);
        expect(read.map((text) => text?.replace(/\\(.)/g, (_, c) => (c === 'n' ? '\n' : c)))).toEqual(values);
      }),
    );
  });
});

describe('Family', () => {
  test('counts what is beyond 2,000 sets of values as other', () => {
    const registry = new MetricRegistry();
    const counters = registry.counters({ name: 'c_total', help: 'C.', labels: ['path', 'code'] });
    for (let i = 0; i < 2_010; i++) counters.of(`/${i}`, '404').add();
    counters.of('/7', '404').add();
    const lines = registry.text().split('\n').slice(2, -1);
    expect(lines).toHaveLength(2_001);
    expect(lines).toContain('c_total{path="/7",code="404"} 2');
    expect(lines.at(-1)).toBe('c_total{path="other",code="other"} 10');
  });
});
