import { describe, expect, test } from 'vitest';
import { MetricRegistry } from './exposition.ts';

describe('MetricRegistry', () => {
  test('writes the text format', () => {
    const registry = new MetricRegistry();
    const counter = registry.counter({ name: 'asked_total', help: 'Asked.', labels: ['type', 'by'] });
    const histogram = registry.histogram({ name: 'took_seconds', help: 'Took.', labels: ['by'] }, [0.1, 1]);
    registry.gauge({ name: 'names', help: 'Names.' }, () => 7);
    counter.cell('A', 'x').value++;
    counter.cell('A', 'x').value++;
    counter.cell('B', 'a"b\\c\nd').value++;
    for (const value of [0.05, 0.1, 0.5, 3]) histogram.cell('x').observe(value);
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
      '',
    ]);
  });

  test('writes metrics without labels without braces', () => {
    const registry = new MetricRegistry();
    registry.counter({ name: 'c', help: 'C.' }).cell().value = 3;
    registry.histogram({ name: 'h', help: 'H.' }, [1]).cell().observe(2);
    expect(registry.text()).toContain('\nc 3\n');
    expect(registry.text()).toContain('h_bucket{le="1"} 0\nh_bucket{le="+Inf"} 1\nh_sum 2\nh_count 1\n');
  });
});
